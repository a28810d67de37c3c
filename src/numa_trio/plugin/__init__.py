"""What is advertised to kubelet and answered to it: resources, slots, allocation. Pure."""
