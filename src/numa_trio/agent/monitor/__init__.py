"""What the agent shows of itself: readiness, metrics and a page, over HTTP."""
