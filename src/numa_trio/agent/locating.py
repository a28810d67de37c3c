"""Where a volume is: a look at one path of the host, which is taken in a thread."""

from collections.abc import Callable

from attrs import define, field

from numa_trio.agent.looking import NoAnswer, OneThread
from numa_trio.locality.host import Host
from numa_trio.locality.resolve import resolve
from numa_trio.locality.result import Outcome
from numa_trio.locality.survey import Survey
from numa_trio.locality.target import Kind, Target
from numa_trio.runtime.pinning import Located
from numa_trio.topology.machine import Machine


@define(eq=False)
class Locator:
    """Finds the NUMA nodes that a path of the `host` is near."""

    host: Host
    machine: Callable[[], Machine | None]
    _thread: OneThread = field(init=False, factory=OneThread)

    async def __call__(self, path: str, is_mount_point: bool) -> Located:
        """Look now. A disk that hangs may keep it waiting, but nobody else."""
        machine = self.machine()
        if machine is None:
            return Located(why="the NUMA nodes have not been read yet")
        try:
            return await self._thread.run(
                lambda: _located(Survey(self.host, machine), path, is_mount_point)
            )
        except NoAnswer as problem:
            return Located(why=str(problem))


def _located(survey: Survey, path: str, is_mount_point: bool) -> Located:
    """What is not mounted there, as far as can be seen, is not taken for a folder of the disk."""
    found = resolve(survey, Target(path, Kind.MOUNT, path, prefixed=is_mount_point))
    if is_mount_point and found.outcome is Outcome.ABSENT:
        return Located(
            why=f"nothing is mounted at {path} as far as can be seen: kubelet may mount in a"
            " namespace of its own, which is not that of the host's first process"
        )
    return Located(frozenset(found.nodes), "" if found.nodes else str(found))
