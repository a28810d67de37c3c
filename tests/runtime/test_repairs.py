"""What was there before, and what comes between while it is being changed."""

import trio
from attrs import define, field

from nri_runtime import messages as google
from numa_trio.runtime.messages import NO_CPU_SET, Adjustment, Container, CpuSet, Pod, Snapshot
from numa_trio.runtime.outcome import Outcome
from numa_trio.runtime.pinning import Decision
from numa_trio.runtime.repairs import Repairs
from numa_trio.runtime.ttrpc import Answer

ON_NODE_1 = Adjustment(CpuSet("2-3", "1"))


@define(eq=False)
class Runtime:
    """Has one container, `c`; what kubelet asks for is `meanwhile`, before the first change."""

    repairs: Repairs = field(init=False)
    meanwhile: CpuSet = NO_CPU_SET
    changes: list[CpuSet] = field(factory=list)
    outcomes: list[Outcome] = field(factory=list)

    def __attrs_post_init__(self) -> None:
        self.repairs = Repairs(self, self.call)
        self.tell()

    def tell(self) -> None:
        container = google.Container(id="c", pod_sandbox_id="p").SerializeToString()
        pod = google.PodSandbox(id="p").SerializeToString()
        self.repairs.add(Snapshot((pod,), (container,), more=False))

    async def call(self, method: str, payload: bytes) -> Answer:
        assert method == "UpdateContainers"
        [update] = google.UpdateContainersRequest.FromString(payload).update
        cpu = update.linux.resources.cpu
        if self.meanwhile and not self.changes:
            self.repairs.given("c", self.meanwhile)
        self.changes.append(CpuSet(cpu.cpus, cpu.mems))
        return Answer(1, b"", None)

    def may_concern(self, message: bytes) -> bool:
        return b"c" in message

    def may_wait(self, container: Container) -> bool:
        return container.id != "c"

    async def repair(self, pod: Pod, container: Container) -> Decision | None:
        return Decision(pod, container, frozenset({1}), Outcome.PINNED, ON_NODE_1)

    def done(self, decision: Decision) -> None:
        self.outcomes.append(decision.outcome)


def test_what_came_first_is_sent_again() -> None:
    """And only as much of it as was overwritten."""
    runtime = Runtime(meanwhile=CpuSet("2", ""))
    trio.run(runtime.repairs.make)
    assert runtime.changes == [CpuSet("2-3", "1"), CpuSet("2", "")]
    assert runtime.outcomes == [Outcome.PINNED]


def test_what_was_not_overwritten_is_not_sent_again() -> None:
    """Only memory was to be repaired: the CPUs that kubelet gives next are its own affair."""
    runtime = Runtime(meanwhile=CpuSet("3", ""))
    runtime.repairs.given("c", CpuSet("2", ""))
    trio.run(runtime.repairs.make)
    assert runtime.changes == [CpuSet("", "1")]


def test_what_has_been_given_all_since_needs_no_repair() -> None:
    """Kubelet's word goes before."""
    runtime = Runtime()
    runtime.repairs.given("c", CpuSet("2", ""))
    runtime.repairs.given("c", CpuSet("", "1"))
    trio.run(runtime.repairs.make)
    assert not runtime.changes


def test_nothing_is_remembered_once_all_is_repaired() -> None:
    """Kubelet may ask for years, for container after container."""
    runtime = Runtime()
    runtime.repairs.forget()
    runtime.repairs.given("c", CpuSet("2", ""))
    assert not runtime.repairs.may_be_due
    runtime.tell()
    trio.run(runtime.repairs.make)
    assert runtime.changes == [ON_NODE_1.cpu_set]
