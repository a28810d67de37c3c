"""What was found out about a target: its NUMA nodes, and how they were found."""

from collections.abc import Iterable, Sequence
from enum import StrEnum
from itertools import zip_longest

from attrs import frozen

from numa_trio.plain_text import escaped
from numa_trio.topology.lists import format_nodes

_MOST_JOINED = 3


class Outcome(StrEnum):
    """How looking for a target ended."""

    NEAR = "near"  # its nodes are known
    UNKNOWN = "unknown"  # it is there, but nothing tells its nodes
    ABSENT = "absent"  # it is not there
    UNSEEN = "unseen"  # where to look for it is not visible from here
    AMBIGUOUS = "ambiguous"  # things of several kinds have its name


@frozen
class Told:
    """A device that told a NUMA node, as the kernel numbers it."""

    device: str
    node: int


@frozen
class Resolution:
    """The NUMA nodes that a target is near, ascending; none unless the outcome is `NEAR`.

    `chain` leads from the target to what told the nodes; members at one step are joined by "+".
    `reason` says why there are no nodes, and `notes` what else an operator should know. Two
    resolutions are equal if nothing changed that somebody would have to be told.
    """

    target: str
    outcome: Outcome
    nodes: tuple[int, ...] = ()
    chain: tuple[str, ...] = ()
    told: tuple[Told, ...] = ()
    reason: str | None = None
    notes: tuple[str, ...] = ()

    @property
    def found(self) -> bool:
        """Whether the target is there."""
        return self.outcome in (Outcome.NEAR, Outcome.UNKNOWN)

    def __str__(self) -> str:
        named = self.chain[:1] in ((self.target,), (self.target.partition(":")[2],))
        steps = [self.target, *self.chain[named:]]
        if self.nodes:
            steps.append(format_nodes(self.nodes))
        text = " → ".join(steps)
        return escaped(text if self.reason is None else f"{text}: {self.reason}")


@frozen
class Place:
    """One of the places that a target names.

    A glob whose matches are near different nodes has several, each with the `suffix` of its name:
    `-0`, `-1` and so on, in order of NUMA node.
    """

    suffix: str
    resolution: Resolution


def joined(texts: Iterable[str], by: str = "+") -> str:
    """Each text once, of many only the first and how many more there are."""
    distinct = list(dict.fromkeys(texts))
    more = len(distinct) - _MOST_JOINED
    return by.join([*distinct[:_MOST_JOINED], *([f"{more} more"] if more > 0 else [])])


def merged(chains: Sequence[Sequence[str]]) -> tuple[str, ...]:
    """The chains side by side, step for step."""
    return tuple(joined(name for name in step if name is not None) for step in zip_longest(*chains))
