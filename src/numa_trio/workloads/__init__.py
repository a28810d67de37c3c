"""What a pod asks for: manifests, resources, quantities, and the class that follows from them."""
