"""What the tests on the host make of kubelet's journal."""

import pytest

from infra.host_service_facts import RESOURCES, Life, last_life, longest_away
from infra.observing import Fact

NUMA_0, NUMA_1 = sorted(RESOURCES)


def allocatable(at: float, numa_0: int, numa_1: int) -> Fact:
    return {"fact": "allocatable", "at": at, "resources": {NUMA_0: numa_0, NUMA_1: numa_1}}


def registered(at: float, resource: str) -> Fact:
    return {"fact": "Register answered", "at": at, "subject": resource}


def test_longest_away_is_that_of_any_resource() -> None:
    """Each time counts for itself, and so does each resource."""
    lines = [
        allocatable(1, 0, 100),
        allocatable(2, 0, 0),
        allocatable(4, 100, 0),
        allocatable(4.5, 100, 100),
        allocatable(5, 0, 100),
        allocatable(5.5, 100, 100),
    ]
    assert longest_away({"kubelet": lines}) == 3


@pytest.mark.parametrize(
    "last", [allocatable(2, 0, 100), {"fact": "started", "at": 2}], ids=["gone", "restarted"]
)
def test_longest_away_is_not_told_of_what_it_cannot_tell(last: Fact) -> None:
    """A resource that is still away, and a kubelet that was restarted meanwhile."""
    with pytest.raises(AssertionError):
        longest_away({"kubelet": [allocatable(1, 0, 100), last]})


def test_registered_is_when_the_last_resource_was_first() -> None:
    """Later registrations of the same resource do not count, nor those with the kubelet before."""
    lines = [
        registered(1, NUMA_0),
        {"fact": "started", "at": 2},
        registered(3, NUMA_0),
        registered(4, NUMA_1),
        registered(9, NUMA_1),
    ]
    assert last_life({"kubelet": lines}).registered == 4


def test_registered_needs_every_resource() -> None:
    """One that never was is no success."""
    with pytest.raises(AssertionError):
        _ = Life([registered(1, NUMA_0)]).registered
