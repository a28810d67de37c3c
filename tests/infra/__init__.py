"""Virtual machines with several NUMA nodes: a kernel to read, and a cluster to deploy to."""
