"""All that is said to kubelet and heard from it."""
