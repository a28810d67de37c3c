"""What a container gets when it is created, updated and found running."""

import pytest
from attrs import evolve

from numa_trio.plugin.annotations import Annotations
from numa_trio.runtime.messages import (
    Adjustment,
    Container,
    CpuSet,
    Creation,
    MemoryPolicyMode,
    Mount,
    Pod,
    Runtime,
    Update,
)
from numa_trio.runtime.outcome import Outcome
from numa_trio.runtime.pinning import Decision, Located, Pinning
from numa_trio.runtime.placement import Aspects
from numa_trio.topology.machine import Machine, NumaNode

MACHINE = Machine(
    (
        NumaNode(0, frozenset({0, 1}), memory_bytes=1 << 30),
        NumaNode(1, frozenset({2, 3}), memory_bytes=1 << 30),
    )
)
KEY = "numa-align/node"
KEYS = Annotations("numa-align")
POD = Pod("sandbox", "db-0", "uid", "default")
RESTARTS = "io.kubernetes.container.restartCount"
OLD = Runtime("containerd", "1.7.24")
NEW = Runtime("containerd", "2.3.0", "0.12.0")


def pinning(runtime: Runtime = OLD, **aspects: bool) -> Pinning:
    made = Pinning(KEYS, Aspects(**aspects), lambda: MACHINE)
    made.runtime = runtime
    return made


def container(nodes: str = "1", restarts: str = "0", **changes: object) -> Container:
    annotations = {KEY: nodes, RESTARTS: restarts}
    return evolve(Container("c1", POD.id, "app", annotations), **changes)


def create(of: Pinning, made: Container) -> Decision:
    decision = of.create(Creation(POD, made))
    assert decision is not None
    return decision


def test_a_new_container_gets_its_nodes_cpus_and_memory() -> None:
    """Kubelet asked for none: its default."""
    decision = create(pinning(), container())
    assert decision.adjustment == Adjustment(CpuSet("2-3", "1"))
    assert (decision.nodes, decision.outcome) == ({1}, Outcome.PINNED)
    assert decision.who == "default/db-0, container app"


def test_who_holds_nothing_of_ours_is_left_alone() -> None:
    """Whatever the runtime tells of it."""
    stranger = Container("c1", POD.id, "app", {RESTARTS: "0"})
    assert pinning().create(Creation(POD, stranger)) is None
    assert pinning().update(Update(POD, stranger, CpuSet("0-3"))) is None
    assert pinning().repair(POD, stranger) is None


def test_of_an_update_only_what_is_asked_for_is_answered() -> None:
    """What is not asked for stays as it is, so that a resize takes no answer."""
    running = container(cpu_set=CpuSet("2-3", "1"))

    def answer(asked: CpuSet) -> Adjustment | None:
        decision = pinning().update(Update(POD, running, asked))
        return decision.adjustment if decision else None

    assert answer(CpuSet()) is None
    assert answer(CpuSet("0-3", "")) == Adjustment(CpuSet("2-3", ""))
    assert answer(CpuSet("2", "")) == Adjustment()
    assert answer(CpuSet("", "0-1")) == Adjustment(CpuSet("", "1"))
    assert answer(CpuSet("0-1", "")) == Adjustment()


def test_with_memory_alone_an_update_of_cpus_is_none_of_ours() -> None:
    """NUMA_NRI=mems leaves CPUs to kubelet."""
    assert pinning(cpus=False).update(Update(POD, container(), CpuSet("0-3", ""))) is None


def test_memory_is_preferred_where_the_runtime_knows_how() -> None:
    """By a memory policy of its processes, which only NRI 0.12 has; else it is bound."""
    bound = Adjustment(CpuSet("2-3", "1"))
    one = Adjustment(
        CpuSet("2-3", ""), (MemoryPolicyMode.PREFERRED, "1"), annotations={KEYS.preferred: "1"}
    )
    two = Adjustment(
        CpuSet("0-3", ""),
        (MemoryPolicyMode.PREFERRED_MANY, "0-1"),
        annotations={KEYS.preferred: "0-1"},
    )
    assert create(pinning(OLD, prefer=True), container()).adjustment == bound
    assert create(pinning(NEW, prefer=True), container()).adjustment == one
    assert create(pinning(NEW, prefer=True), container("0-1")).adjustment == two


@pytest.mark.parametrize("cpus", [True, False])
def test_two_instances_set_nothing_twice(cpus: bool) -> None:
    """They meet in a rolling update, and the runtime refuses two plugins that set the same."""
    of = {"prefer": True, "cpus": cpus}
    first = create(pinning(NEW, **of), container()).adjustment
    shown = evolve(
        container(),
        annotations={**container().annotations, **first.annotations},
        cpu_set=first.cpu_set,
    )
    second = create(pinning(NEW, **of), shown)
    assert (second.outcome, second.adjustment) == (Outcome.UNCHANGED, Adjustment())


def test_the_policy_of_running_processes_cannot_be_changed() -> None:
    """So their CPUs are set, and their memory is left where it is."""
    decision = pinning(NEW, prefer=True).repair(POD, container())
    assert decision is not None
    assert decision.adjustment == Adjustment(CpuSet("2-3", ""))
    assert pinning(NEW, prefer=True, cpus=False).repair(POD, container()) is None


def test_a_creation_that_failed_is_not_made_to_fail_again() -> None:
    """Kubelet tries the same container anew: the second try is without us, the third is not."""
    tried = pinning()
    outcomes = [create(tried, container(id=f"c{number}")).outcome for number in range(4)]
    assert outcomes == [Outcome.PINNED, Outcome.WITHHELD, Outcome.PINNED, Outcome.WITHHELD]
    assert create(tried, container(restarts="1")).outcome is Outcome.PINNED
    assert not create(pinning(), container("7")).adjustment


def test_who_was_made_without_us_is_pinned_once_nobody_else_does() -> None:
    """If another plugin has set anything, it is that plugin's."""
    tried = pinning()
    for _ in range(2):
        create(tried, container())
    others = tried.repair(POD, container(cpu_set=CpuSet("0-3", "")))
    assert others is not None
    assert (others.outcome, others.adjustment) == (Outcome.WITHHELD, Adjustment())
    assert tried.update(Update(POD, container(), CpuSet("0-3", ""))) is None
    assert create(tried, container(restarts="1")).outcome is Outcome.WITHHELD


def test_who_was_made_without_us_for_another_reason_is_pinned() -> None:
    """Nobody else has set anything: from then on it is as if nothing had happened."""
    tried = pinning()
    for _ in range(2):
        create(tried, container())
    free = tried.repair(POD, container())
    assert free is not None
    assert free.adjustment == Adjustment(CpuSet("2-3", "1"))
    assert tried.update(Update(POD, container(), CpuSet("0-3", ""))) is not None


def test_what_kubelet_gives_is_not_taken_for_another_plugins() -> None:
    """Its static CPU Manager gives each container CPUs, and may have changed them meanwhile."""
    tried, pool = pinning(), CpuSet("0-3", "")
    for _ in range(2):
        create(tried, container(cpu_set=pool))
    for asked in (CpuSet("", "0-1"), CpuSet("0-2", "")):
        assert tried.update(Update(POD, container(), asked)) is None
    free = tried.repair(POD, container(cpu_set=CpuSet("0-2", "0-1")))
    assert free is not None
    assert free.adjustment == Adjustment(CpuSet("2", "1"))
    assert tried.update(Update(POD, container(), pool)) is not None


def test_what_another_plugin_no_longer_sets_is_ours_again() -> None:
    """That plugin may have been removed: then the next creation is not left to it."""
    tried = pinning()
    for _ in range(2):
        create(tried, container())
    tried.repair(POD, container(cpu_set=CpuSet("0-3", "")))
    assert create(tried, container(restarts="1")).outcome is Outcome.WITHHELD
    tried.repair(POD, container())
    assert create(tried, container(restarts="1")).outcome is Outcome.PINNED
    assert create(tried, container(restarts="2")).outcome is Outcome.PINNED


def test_who_sets_what_is_not_ours_to_set_is_in_nobodys_way() -> None:
    """With memory alone, CPUs may be whose they are."""
    tried = pinning(cpus=False)
    for _ in range(2):
        create(tried, container())
    free = tried.repair(POD, container(cpu_set=CpuSet("0-2", "")))
    assert free is not None
    assert free.adjustment == Adjustment(CpuSet("", "1"))


def test_a_container_that_is_restarted_is_pinned_each_time() -> None:
    """It was made the time before: what is counted is tries of one restart."""
    tried = pinning()
    outcomes = [create(tried, container(restarts=str(number))).outcome for number in range(4)]
    assert outcomes == [Outcome.PINNED] * 4


def test_a_creation_that_fails_at_each_restart_is_due_to_us() -> None:
    """A plugin before us has set its CPUs: they cannot be told from kubelet's."""
    tried, pool = pinning(), CpuSet("0-3", "")
    outcomes = []
    for restarts in ("0", "1", "2"):
        for _ in range(2):
            create(tried, container(restarts=restarts, cpu_set=pool))
        decision = tried.repair(POD, container(cpu_set=pool))
        assert decision is not None
        outcomes.append(decision.outcome)
    assert outcomes == [Outcome.PINNED, Outcome.WITHHELD, Outcome.WITHHELD]


def test_a_runtime_that_counts_no_restarts_is_taken_at_its_word() -> None:
    """Then nobody can tell a second try from a second container."""
    tried, unknown = pinning(), Container("c1", POD.id, "app", {KEY: "1"})
    assert [create(tried, unknown).outcome for _ in range(3)] == [Outcome.PINNED] * 3


def test_many_tries_are_forgotten_one_by_one() -> None:
    """What is remembered is bounded."""
    tried = pinning()
    for number in range(5000):
        create(tried, container(name=f"c{number}"))
    assert create(tried, container(name="c4999")).outcome is Outcome.WITHHELD
    assert create(tried, container(name="c0")).outcome is Outcome.PINNED


@pytest.mark.parametrize("machine", [None, Machine(())])
def test_an_unknown_machine_pins_nothing(machine: Machine | None) -> None:
    """It has not been read, or its nodes are offline."""
    decision = Pinning(KEYS, Aspects(), lambda: machine).create(Creation(POD, container()))
    assert decision is not None
    assert (decision.outcome, decision.adjustment) == (Outcome.IMPOSSIBLE, Adjustment())


def test_what_cannot_be_trusted_changes_nothing() -> None:
    """It is told and counted: somebody wants to be pinned, and is not."""
    decision = pinning().create(Creation(evolve(POD, annotations={KEY: "1"}), container()))
    assert decision is not None
    assert (decision.outcome, decision.adjustment) == (Outcome.NOT_TRUSTED, Adjustment())
    assert KEY in decision.why
    malformed = create(pinning(), container("one"))
    assert (malformed.outcome, malformed.adjustment) == (Outcome.NOT_TRUSTED, Adjustment())


VOLUME = "numa-align/near-volume"
DATA = Mount("/data", "/var/lib/kubelet/pods/u/volumes/kubernetes.io~local-volume/pv-7", "bind")


def near_volume(**changes: object) -> Container:
    return evolve(
        Container("c1", POD.id, "app", {VOLUME: "true", RESTARTS: "0"}, (DATA,)), **changes
    )


def test_near_a_volume_is_on_the_node_of_its_disk() -> None:
    """Where that is, is found out meanwhile; the container is told, as others are by Allocate."""
    decision = pinning().create(Creation(POD, near_volume()), Located(frozenset({1})))
    assert decision is not None
    assert decision.adjustment == Adjustment(CpuSet("2-3", "1"), environment={"NUMA_NODE": "1"})
    shown = near_volume(environment={"NUMA_NODE": "1"}, cpu_set=CpuSet("2-3", "1"))
    second = pinning().create(Creation(POD, shown), Located(frozenset({1})))
    assert second is not None
    assert (second.outcome, second.adjustment) == (Outcome.UNCHANGED, Adjustment())
    running = pinning().repair(POD, near_volume(), Located(frozenset({1})))
    assert running is not None
    assert running.adjustment == Adjustment(CpuSet("2-3", "1"))


def test_a_volume_that_is_not_found_changes_nothing() -> None:
    """The reason is told with the container."""
    decision = pinning().create(Creation(POD, near_volume()), Located(why="it is on no disk"))
    assert decision is not None
    assert (decision.outcome, decision.adjustment) == (Outcome.NOT_FOUND, Adjustment())
    assert decision.why == "it is on no disk"


def test_only_who_holds_that_device_is_near_a_volume() -> None:
    """Who holds a node's device as well is on that node."""
    assert pinning().volume(POD, near_volume()) == DATA
    assert pinning().volume(POD, container(mounts=(DATA,))) is None
    both = near_volume(annotations={VOLUME: "true", KEY: "0"})
    assert pinning().volume(POD, both) is None
    assert create(pinning(), both).nodes == {0}
    decision = pinning().create(Creation(POD, both), Located(frozenset({1})))
    assert decision is not None
    assert decision.nodes == {0}
    forged = evolve(POD, annotations={VOLUME: "true"})
    assert pinning().volume(forged, near_volume()) is None
    decision = pinning().create(Creation(forged, near_volume()))
    assert decision is not None
    assert decision.outcome is Outcome.NOT_TRUSTED
