"""Observations of a run, and what they come to: medians, ratios, spread, targets."""

import json
from collections.abc import Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from statistics import median
from typing import Any

import attrs
from attrs import frozen

OURS = "numa-trio"
PEER = "go-peer"


@frozen
class Observation:
    """What one round saw of one measure of one subject.

    `case` says under which circumstances: "8 nodes". A round has one value or many.
    """

    measure: str
    case: str
    unit: str
    subject: str
    round: int
    values: tuple[float, ...]


class Of(StrEnum):
    """What a target limits: the ratio to the Go peer, our median, or our highest value."""

    RATIO = "ratio"
    MEDIAN = "median"
    HIGHEST = "highest"


@frozen
class Target:
    """At most `limit`."""

    of: Of
    limit: float


@frozen
class Spread:
    """The median of all rounds' values, the 10th and 90th percentile, and the highest."""

    median: float
    low: float
    high: float
    highest: float


@frozen
class Summary:
    """A measure in one case: ours, the peer's, and ours divided by the peer's.

    `ratio` divides the medians of all values; `ratio_low` and `ratio_high` are the extremes of the
    ratios of single rounds. They are None where there is no peer's value or it is 0.
    """

    measure: str
    case: str
    unit: str
    ours: Spread
    peer: Spread | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    target: Target | None

    @property
    def met(self) -> bool | None:
        """Whether the target is met; None without a target or without what it limits."""
        if self.target is None:
            return None
        limited = {
            Of.RATIO: self.ratio,
            Of.MEDIAN: self.ours.median,
            Of.HIGHEST: self.ours.highest,
        }
        value = limited[self.target.of]
        return None if value is None else value <= self.target.limit


@frozen
class Run:
    """All observations of one run, and where and when they were made."""

    circumstances: dict[str, Any]
    observations: tuple[Observation, ...]
    remarks: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        """Write it as JSON."""
        path.write_text(json.dumps(attrs.asdict(self), indent=1) + "\n")

    @classmethod
    def read(cls, path: Path) -> "Run":
        """Read what `write` wrote."""
        data = json.loads(path.read_text())
        observations = (
            Observation(**{**observation, "values": tuple(observation["values"])})
            for observation in data["observations"]
        )
        return cls(data["circumstances"], tuple(observations), tuple(data["remarks"]))


def percentile(values: Sequence[float], percent: float) -> float:
    """The nearest-rank percentile: the least value that so many percent do not exceed."""
    ranked = sorted(values)
    rank = -(-len(ranked) * percent // 100)
    return ranked[max(int(rank), 1) - 1]


def spread(values: Sequence[float]) -> Spread:
    """What so many values come to; there must be at least one."""
    return Spread(median(values), percentile(values, 10), percentile(values, 90), max(values))


def summarize(
    observations: Iterable[Observation], targets: dict[tuple[str, str], Target]
) -> list[Summary]:
    """A summary for each measure and case, in the order of their first observation."""
    cases: dict[tuple[str, str, str], list[Observation]] = {}
    for observation in observations:
        key = (observation.measure, observation.case, observation.unit)
        cases.setdefault(key, []).append(observation)
    return [
        _summary(measure, case, unit, found, targets.get((measure, case)))
        for (measure, case, unit), found in cases.items()
        if any(observation.subject == OURS for observation in found)
    ]


def _summary(
    measure: str, case: str, unit: str, found: list[Observation], target: Target | None
) -> Summary:
    ours, peer = _by_round(found, OURS), _by_round(found, PEER)
    ratios = [
        median(values) / median(peer[number])
        for number, values in ours.items()
        if number in peer and median(peer[number]) != 0
    ]
    all_ours, all_peer = _pooled(ours), _pooled(peer)
    comparable = bool(ratios) and median(all_peer) != 0
    return Summary(
        measure=measure,
        case=case,
        unit=unit,
        ours=spread(all_ours),
        peer=spread(all_peer) if all_peer else None,
        ratio=median(all_ours) / median(all_peer) if comparable else None,
        ratio_low=min(ratios) if comparable else None,
        ratio_high=max(ratios) if comparable else None,
        target=target,
    )


def _by_round(found: list[Observation], subject: str) -> dict[int, list[float]]:
    rounds: dict[int, list[float]] = {}
    for observation in found:
        if observation.subject == subject:
            rounds.setdefault(observation.round, []).extend(observation.values)
    return rounds


def _pooled(rounds: dict[int, list[float]]) -> list[float]:
    return [value for values in rounds.values() for value in values]
