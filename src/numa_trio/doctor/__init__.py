"""`numa-trio doctor`: what a server shows, and what keeps pods from being aligned there."""
