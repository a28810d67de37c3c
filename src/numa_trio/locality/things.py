"""What a chain from a target to a NUMA node passes through, and where such a chain can end."""

from pathlib import Path

from attrs import field, frozen

from numa_trio.locality.result import Outcome
from numa_trio.locality.target import Kind


@frozen
class Device:
    """A device in sysfs, which is the same whatever path led to its `folder`."""

    name: str = field(eq=False)
    folder: Path
    kind: Kind = field(eq=False)


@frozen
class HostFile:
    """A file or folder of the host, by its path there."""

    path: str

    @property
    def name(self) -> str:
        """The path, as a step of a chain shows it."""
        return self.path


Thing = Device | HostFile


@frozen
class DeadEnd:
    """Why a chain leads no further."""

    reason: str
    outcome: Outcome = Outcome.UNKNOWN


def absent(reason: str) -> DeadEnd:
    """The end of a chain at something that is not there."""
    return DeadEnd(reason, Outcome.ABSENT)


def unseen(reason: str) -> DeadEnd:
    """The end of a chain where what comes next cannot be seen from here."""
    return DeadEnd(reason, Outcome.UNSEEN)
