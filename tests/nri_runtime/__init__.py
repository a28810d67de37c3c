"""A container runtime that speaks NRI, for the tests; it shares no code with the plugin."""
