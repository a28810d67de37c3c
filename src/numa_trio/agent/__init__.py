"""The running service: one nursery, the plugin scope, the state of each resource."""
