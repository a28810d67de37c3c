"""The container runtime, over NRI: who holds a NUMA node runs on it."""
