"""A kubelet stand-in and synthetic machines, for `numa-trio simulate` and for the tests."""
