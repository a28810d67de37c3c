"""Makes the pictures of the documentation from runs of the project's own commands."""
