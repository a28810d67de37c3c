"""numa-trio measured beside a plain Go plugin, in the same run: `python -m benchmarks`."""
