"""How many NUMA nodes kubelet can work with."""

MAX_NUMA_NODES = 8  # the default of the policy option max-allowable-numa-nodes, and its minimum

# The Topology Manager and the static Memory Manager try sets of nodes; beyond, for ever.
ENDLESS_NUMA_NODES = 16
