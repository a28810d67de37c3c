"""`python -m numa_trio` is the `numa-trio` command."""

from numa_trio.cli import main

raise SystemExit(main())
