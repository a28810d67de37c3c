"""Which NUMA nodes a disk, card or mount is near: sysfs, mount table and /dev links; no async."""
