"""What the machine is: NUMA nodes, read from sysfs. Pure but for the reader; no async."""
