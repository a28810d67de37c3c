"""The end-to-end test on a real cluster: `just e2e` runs it against kubectl's current context."""
