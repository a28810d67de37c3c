"""Kubernetes device plugin that offers each NUMA node as an extended resource."""

__version__ = "0.1.0"
