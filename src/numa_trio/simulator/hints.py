"""Topology hints, and how kubelet's Topology Manager merges them into one.

Source: pkg/kubelet/cm/topologymanager of Kubernetes 1.36.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from enum import StrEnum
from itertools import combinations

from attrs import frozen

Nodes = frozenset[int]
Distances = Mapping[int, Mapping[int, int]]  # from each NUMA node to each


class Policy(StrEnum):
    """Topology Manager policies."""

    NONE = "none"
    BEST_EFFORT = "best-effort"
    RESTRICTED = "restricted"
    SINGLE_NUMA_NODE = "single-numa-node"


class Scope(StrEnum):
    """What is aligned: each container for itself, or the pod as a whole."""

    CONTAINER = "container"
    POD = "pod"


@frozen
class Hint:
    """A set of NUMA nodes that could serve a request; None means that any will do."""

    nodes: Nodes | None
    preferred: bool


# What a provider says of one resource: None has no preference, an empty list cannot be satisfied.
Hints = Sequence[Hint] | None

_ANY = Hint(None, preferred=True)
_IMPOSSIBLE = Hint(None, preferred=False)


def node_sets(nodes: Iterable[int]) -> Iterator[Nodes]:
    """Every set of these nodes but the empty one, smaller sets first."""
    ordered = sorted(nodes)
    for size in range(1, len(ordered) + 1):
        for chosen in combinations(ordered, size):
            yield frozenset(chosen)


def narrowness(nodes: Nodes) -> tuple[int, int]:
    """A sort key: fewer nodes come first, and of as many those with the lower numbers."""
    return len(nodes), sum(1 << node for node in nodes)


def hints_for(
    nodes: Iterable[int], *, could: Callable[[Nodes], bool], can: Callable[[Nodes], bool]
) -> list[Hint]:
    """A hint for each set of nodes that `can` serve a request.

    Preferred are those of the least size that `could` serve it if nothing else were placed.
    """
    sets = list(node_sets(nodes))
    least = next((len(chosen) for chosen in sets if could(chosen)), len(sets[-1]) if sets else 0)
    return [Hint(chosen, len(chosen) == least) for chosen in sets if can(chosen)]


def merge(
    policy: Policy,
    nodes: Nodes,
    provided: Sequence[Mapping[str, Hints]],
    distances: Distances | None = None,
) -> tuple[Hint, bool]:
    """The best hint that all providers can live with, and whether the policy admits it.

    `nodes` are all NUMA nodes of the machine; each provider gives hints by resource. With
    `distances`, as under the policy option `prefer-closest-numa-nodes`, of sets with as many
    nodes the one whose nodes are closest to each other is better.
    """
    resources = list(_by_resource(provided))
    if policy is Policy.SINGLE_NUMA_NODE:
        resources = [[hint for hint in hints if _is_single(hint)] for hints in resources]
        distances = None
    candidates = (Hint(nodes, h.preferred) if h.nodes is None else h for h in _merged(resources))
    order = _order(resources, distances)
    best = min(candidates, key=order, default=Hint(nodes, preferred=False))
    if policy is Policy.SINGLE_NUMA_NODE and best.nodes == nodes:
        best = Hint(None, best.preferred)
    return best, best.preferred or policy is Policy.BEST_EFFORT


def _by_resource(provided: Sequence[Mapping[str, Hints]]) -> Iterator[Sequence[Hint]]:
    for provider in provided:
        if not provider:
            yield [_ANY]
        for hints in provider.values():
            yield [_ANY] if hints is None else hints or [_IMPOSSIBLE]


def _is_single(hint: Hint) -> bool:
    return hint.preferred and (hint.nodes is None or len(hint.nodes) == 1)


def _merged(resources: Sequence[Sequence[Hint]]) -> set[Hint]:
    """What comes of each choice of one hint a resource: the nodes common to all of them.

    It is preferred if all are, and all that name nodes name the same. Different choices often
    come to the same, so they are merged resource by resource, not choice by choice.
    """
    merged = {_ANY}
    for hints in resources:
        merged = {_both(one, other) for one in merged for other in hints}
    return {hint for hint in merged if hint.nodes != frozenset()}


def _both(one: Hint, other: Hint) -> Hint:
    preferred = one.preferred and other.preferred
    if one.nodes is None or other.nodes is None:
        return Hint(other.nodes if one.nodes is None else one.nodes, preferred)
    return Hint(one.nodes & other.nodes, preferred and one.nodes == other.nodes)


def _order(
    resources: Sequence[Sequence[Hint]], distances: Distances | None
) -> Callable[[Hint], tuple[float, ...]]:
    """The order of merged hints, best first.

    Preferred come before others. Among preferred, the narrowest. Among others, those whose size
    comes nearest to what the most demanding resource needs, rather less than more.
    """
    narrowest = [min((len(h.nodes) for h in hints if h.nodes), default=0) for hints in resources]
    needed = max(narrowest, default=0)

    def order(hint: Hint) -> tuple[float, ...]:
        nodes = hint.nodes or frozenset()
        size, numbers = narrowness(nodes)
        spread = _average_distance(nodes, distances) if distances else 0
        if hint.preferred:
            return 0, size, spread, numbers
        if size <= needed:
            return 1, needed - size, spread, numbers
        return 2, size, spread, numbers

    return order


def _average_distance(nodes: Nodes, distances: Distances) -> float:
    """From each of the nodes to each, itself included; what sysfs does not say counts 0."""
    pairs = [distances[one].get(other, 0) for one in nodes for other in nodes]
    return sum(pairs) / len(pairs) if pairs else 0
