"""The limit on open files, which has to allow what a command opens."""

import resource

from numa_trio.settings import BadConfiguration

AGENT = 64  # on two NUMA nodes it has 16 open, and 2 more for each further one


def allow_open_files(needed: int) -> None:
    """Raise the soft limit if it is below `needed`; `BadConfiguration` if the hard one is."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= needed:
        return
    if hard != resource.RLIM_INFINITY and hard < needed:
        raise BadConfiguration(
            f"the limit on open files is {hard} (ulimit -n); expected at least {needed}"
        )
    resource.setrlimit(resource.RLIMIT_NOFILE, (needed, hard))
