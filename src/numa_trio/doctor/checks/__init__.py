"""What follows for alignment: pure functions from evidence to verdicts, a file for each theme."""
