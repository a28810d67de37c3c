"""What a check finds: how bad it is, what was seen and where, why it matters, what to change."""

from collections.abc import Callable
from enum import StrEnum

from attrs import frozen

from numa_trio.doctor.evidence.gather import Evidence
from numa_trio.doctor.evidence.seen import Place

# What a check says where a setting is not seen, but may be set.
NOT_READ = "kubelet's configuration was not found, or not read to its end (ND001)"


class Severity(StrEnum):
    """How bad it is. Errors and warnings are findings; the others are for the reader."""

    ERROR = "error"  # kubelet does not start, or no pod is aligned
    WARNING = "warning"  # some pods are not aligned, or kubelet may not start
    NOTE = "note"
    UNKNOWN = "unknown"  # what decides could not be seen
    OK = "ok"

    @property
    def counts(self) -> bool:
        """Whether it makes the exit status 1."""
        return self in {Severity.ERROR, Severity.WARNING}


@frozen
class Remedy:
    """What to change: the lines to write, where, and what to do then."""

    where: str
    lines: tuple[str, ...]
    then: str = ""


@frozen
class Verdict:
    """What one check says of a host."""

    severity: Severity
    seen: str
    place: Place | None = None
    remedy: Remedy | None = None


@frozen
class Check:
    """A check: its code, which never changes its meaning, and what it looks at."""

    code: str
    title: str
    why: str
    look: Callable[[Evidence], Verdict]


@frozen
class Finding:
    """A verdict, with the check that it is of."""

    check: Check
    verdict: Verdict


def fine(seen: str, place: Place | None = None) -> Verdict:
    """All is well."""
    return Verdict(Severity.OK, seen, place)


def note(seen: str, place: Place | None = None, remedy: Remedy | None = None) -> Verdict:
    """Something to know."""
    return Verdict(Severity.NOTE, seen, place, remedy)


def warning(seen: str, place: Place | None = None, remedy: Remedy | None = None) -> Verdict:
    """Something to change."""
    return Verdict(Severity.WARNING, seen, place, remedy)


def error(seen: str, place: Place | None = None, remedy: Remedy | None = None) -> Verdict:
    """Something that must change."""
    return Verdict(Severity.ERROR, seen, place, remedy)


def unknown(seen: str, place: Place | None = None) -> Verdict:
    """What decides could not be seen."""
    return Verdict(Severity.UNKNOWN, seen, place)
