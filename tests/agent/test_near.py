"""From what was found to the slots that are offered."""

from collections.abc import Mapping
from pathlib import Path

import pytest
import trio
from attrs import define, evolve, field
from trio.testing import MockClock

from agent.kubelet_fakes import offer
from numa_trio.agent.advertised import AdvertisedResources
from numa_trio.agent.near import NearResources
from numa_trio.locality.result import Outcome, Resolution
from numa_trio.near.verdicts import NearLook, NearVerdict
from numa_trio.plugin.resource import NumaResource
from numa_trio.settings import load_settings


@define(eq=False)
class Rig:
    """Slots by name, and kubelet's checkpoint as a test says."""

    directory: Path = Path("/dp")
    given: Mapping[str, Mapping[str, tuple[int, ...]]] | None = field(factory=dict)
    resources: AdvertisedResources = field(factory=AdvertisedResources)
    near: NearResources = field(init=False)

    def __attrs_post_init__(self) -> None:
        settings = load_settings({"NUMA_CAPACITY": "4", "NUMA_INSTANCE": "x" * 36})
        self.near = NearResources(
            settings, self.resources, offer, self.directory, lambda: self.given
        )

    def see(self, *verdicts: NearVerdict) -> bool:
        return self.near.see(NearLook(verdicts))

    def resource(self, name: str) -> NumaResource:
        found = self.resources.get(name)
        assert found is not None
        return found.resource

    def healthy(self, name: str) -> int:
        return self.resource(name).healthy_count

    def reason(self, name: str) -> str | None:
        (verdict,) = [each for each in self.near.look.verdicts if each.name == name]
        return verdict.reason


def there(name: str, *nodes: int, given: str | None = None) -> NearVerdict:
    return NearVerdict(given or name, name, Resolution("/t", Outcome.NEAR, nodes), nodes)


def gone(name: str, outcome: Outcome = Outcome.ABSENT) -> NearVerdict:
    certain = outcome is not Outcome.UNSEEN
    found = Resolution("/t", outcome, reason="why")
    return NearVerdict(name, name, found, reason="why", certain=certain)


async def test_same_look_is_no_change() -> None:
    """Whoever follows is told only of changes."""
    rig = Rig()
    assert rig.see(there("data", 1))
    assert not rig.see(there("data", 1))
    assert rig.see(there("data", 0))


async def test_what_is_found_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """Where slots are, that any of several nodes will do, moves, and what is odd."""
    caplog.set_level("INFO")
    rig = Rig()
    rig.given = {"numa-align/near-data": {"near-data-1": (0,)}}
    disk = Resolution("disk:sda", Outcome.UNKNOWN, reason="why")
    odd = evolve(there("odd", 0), resolution=Resolution("/o", Outcome.NEAR, (0,), notes=("note",)))
    verdicts = (there("both", 0, 1), NearVerdict("any", "any", disk), odd)
    first = NearLook((there("data", 0), *verdicts), ("problem",), ("remark",))
    for look in (first, first, NearLook((there("data", 1), *verdicts), (), ("remark",))):
        rig.near.see(look)
    moved = "was near node 0 and is now near node 1: /t → node 1 (1 that containers have stay where"
    assert [(record.levelname, record.message) for record in caplog.records] == [
        ("ERROR", "problem"),
        ("WARNING", "remark"),
        ("INFO", "near-odd: note"),
        ("INFO", "Advertising /t → node 0 as numa-align/near-data: 4"),
        (
            "INFO",
            "Advertising /t → nodes 0-1 as numa-align/near-both: 4; any of these nodes will do",
        ),
        ("INFO", "Advertising disk:sda as numa-align/near-any: 4; it aligns nothing: why"),
        ("INFO", "Advertising /o → node 0 as numa-align/near-odd: 4"),
        ("INFO", "No longer so: problem"),
        ("WARNING", f"numa-align/near-data {moved} they are)"),
    ]


@pytest.mark.parametrize(
    ("outcome", "healthy"), [(Outcome.ABSENT, 0), (Outcome.AMBIGUOUS, 0), (Outcome.UNSEEN, 4)]
)
async def test_what_cannot_be_seen_stays_as_it_was(outcome: Outcome, healthy: int) -> None:
    """What is absent, or is several things, goes."""
    rig = Rig()
    rig.see(there("data", 1))
    rig.see(gone("data", outcome))
    assert rig.healthy("near-data") == healthy
    rig.see(there("data", 1))
    assert rig.healthy("near-data") == 4


async def test_glob_that_has_fewer_nodes_changes_its_names() -> None:
    """The names that are no longer used are unhealthy, and say what took their place."""
    rig = Rig()
    rig.see(there("data-0", 0, given="data"), there("data-1", 1, given="data"))
    assert rig.healthy("near-data-1") == 4
    rig.see(there("data", 1))
    assert rig.healthy("near-data-0") == rig.healthy("near-data-1") == 0
    assert rig.healthy("near-data") == 4


async def test_glob_that_cannot_be_seen_keeps_its_names() -> None:
    """The verdict then has the name that was given, without a number."""
    rig = Rig()
    rig.see(there("data-0", 0, given="data"), there("data-1", 1, given="data"))
    rig.see(gone("data", Outcome.UNSEEN))
    assert rig.healthy("near-data-0") == rig.healthy("near-data-1") == 4
    rig.see(gone("data"))
    assert rig.healthy("near-data-0") == rig.healthy("near-data-1") == 0


async def test_name_that_is_taken_away_is_unhealthy(caplog: pytest.LogCaptureFixture) -> None:
    """And the log says why."""
    rig = Rig()
    rig.see(there("data", 1))
    rig.see()
    assert rig.healthy("near-data") == 0
    assert "data is no longer a name of anything" in caplog.text


async def test_name_of_another_resource_is_not_taken() -> None:
    """Whoever came first keeps it."""
    rig = Rig()
    rig.resources.add(offer(NumaResource("near-data", (0,), 1)))
    rig.see(there("data", 1))
    assert rig.reason("data") == "another resource has that name"
    assert rig.resource("near-data").numa_nodes == (0,)


async def test_name_whose_socket_has_no_room_is_not_offered() -> None:
    """With what to do about it; others are."""
    rig = Rig(Path("/" + "d" * 70))
    rig.see(there("x" * 32, 1), there("y", 1))
    assert "choose a shorter directory, instance or name" in (rig.reason("x" * 32) or "")
    assert rig.healthy("near-y") == 4


async def test_names_beyond_what_kubelet_can_be_told_in_time_are_not_offered() -> None:
    """Whoever came first keeps its place, also when it is gone; the others say why."""
    rig = Rig()
    rig.see(there("first", 1))
    rig.see(gone("first"), *(there(f"n{number}", 1) for number in range(40)))
    assert len(rig.resources) == 32
    assert rig.reason("n30") is None
    assert "32 names are offered already" in (rig.reason("n31") or "")


async def test_longest_name_has_room_in_kubelets_directory() -> None:
    """With a pod's uid for the instance."""
    rig = Rig(Path("/var/lib/kubelet/device-plugins"))
    name = f"{'x' * 32}-12"
    rig.see(there(name, 1))
    assert rig.reason(name) is None


async def test_slots_left_behind_are_healthy_while_kubelet_starts(
    autojump_clock: MockClock,
) -> None:
    """Otherwise nobody gets them; whatever cannot be read leaves them as they were."""
    rig = Rig()
    rig.given = {"numa-align/near-data": {"near-data-1": (0,), "near-data-2": (1,), "odd": (0,)}}
    rig.see(there("data", 1))
    assert rig.resource("near-data").left_behind == {1: (0,)}
    assert rig.healthy("near-data") == 3
    rig.near.kubelet_appeared(trio.current_time() - 60)
    assert rig.healthy("near-data") == 3
    rig.near.kubelet_appeared(trio.current_time())
    assert rig.healthy("near-data") == 4
    rig.given = None
    await trio.sleep(59)
    rig.see(there("data", 1))
    assert rig.healthy("near-data") == 4
    await trio.sleep(2)
    rig.see(there("data", 1))
    assert rig.healthy("near-data") == 3
    rig.given = {}
    rig.see(there("data", 1))
    assert rig.healthy("near-data") == 4
    assert not rig.resource("near-data").left_behind
