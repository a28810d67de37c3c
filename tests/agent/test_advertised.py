"""What is advertised can change at any time; kubelet is told when it does."""

import pytest

from agent.kubelet_fakes import FakeServer, advertise, offer
from numa_trio.agent.advertised import AdvertisedResource, AdvertisedResources
from numa_trio.plugin.resource import NumaResource


def updates(advertised: AdvertisedResource) -> list[object]:
    assert isinstance(advertised.server, FakeServer)
    return [*advertised.server.updates]


async def test_only_a_change_is_told() -> None:
    """Health, capacity and nodes alike; the same once more is no news."""
    advertised = offer(NumaResource("near-data", (0,), 3))
    steps = [
        advertised.resource,
        fewer := advertised.resource.with_unhealthy([2]),
        fewer,
        fewer.with_unhealthy([2]),
        moved := fewer.with_nodes([1]),
        grown := moved.with_capacity(4),
        ill := grown.with_health(False),
    ]
    for step in steps:
        advertised.update(step)
        assert advertised.resource == step
    assert updates(advertised) == [fewer, moved, grown, ill]


async def test_health_changes_with_a_word(caplog: pytest.LogCaptureFixture) -> None:
    """The log has the reason, once."""
    caplog.set_level("INFO")
    advertised = advertise(0)
    for trouble in (None, "the node is offline", "the node is offline", None):
        advertised.set_health(trouble)
        assert advertised.resource.healthy is (trouble is None)
    assert [record.message for record in caplog.records] == [
        "numa-align/numa-0 is unhealthy: the node is offline",
        "numa-align/numa-0 is healthy again",
    ]


@pytest.mark.parametrize(
    "other", [NumaResource.of_node(1, 3), NumaResource.of_node(0, 3, "example.com")]
)
async def test_a_resource_keeps_its_name(other: NumaResource) -> None:
    """Kubelet knows it by that, and could not be told of another."""
    advertised = advertise(0)
    with pytest.raises(ValueError, match="numa-align/numa-0 cannot become"):
        advertised.update(other)
    assert updates(advertised) == []


async def test_each_name_is_advertised_once() -> None:
    """Found by it; a second one would take the socket of the first."""
    resources = AdvertisedResources()
    slots, cpus = advertise(0), offer(NumaResource("numa-0-cpu", (0,), 3))
    for one in (slots, cpus):
        resources.add(one)
    assert resources.get("numa-0") is slots
    assert resources.get("numa-0-cpu") is cpus
    assert resources.get("near-data") is None
    with pytest.raises(ValueError, match="numa-0 is advertised already"):
        resources.add(advertise(0))
    assert list(resources) == [slots, cpus]
