"""What in manifests keeps pods from the NUMA node that they ask for, where, and how to mend it."""
