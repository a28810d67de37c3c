"""Counted resources against kubelet's own managers: who is sent there is let in, and conversely.

NUMA_TRIO_SEQUENCES sets how many random sequences of pods are tried, instead of a few that are
always the same; NUMA_TRIO_TALLY names a file that gets the sums of what became of the pods.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator
from copy import deepcopy
from fractions import Fraction
from pathlib import Path

import pytest
from attrs import define, field, frozen
from counted_node import CountedNode, at_once, without_counts
from hypothesis import given, settings
from hypothesis import strategies as st

from numa_trio.plugin.counted import Counted
from numa_trio.plugin.counting import counted_name
from numa_trio.simulator.admission import Verdict, admit
from numa_trio.simulator.cpus import Cpu, SimulatedMachine
from numa_trio.simulator.hints import Policy, Scope
from numa_trio.simulator.kubelet_config import KubeletConfig
from numa_trio.topology.machine import Machine, NumaNode
from numa_trio.workloads.pod import Container, ContainerKind, Pod, Resources, peak_requests

SEQUENCES = int(os.environ.get("NUMA_TRIO_SEQUENCES", "30"))
TALLY: Counter[str] = Counter()

CPUS = [Fraction(1)] * 4 + [Fraction(2)] * 3 + [Fraction(3), Fraction(4), Fraction(1, 2)]
UNITS = [1, 40, 64]  # bytes; memory is as small as CPUs are few
INITS = [ContainerKind.INIT, ContainerKind.SIDECAR]


@pytest.fixture(autouse=True, scope="module")
def _tally() -> Iterator[None]:
    yield
    if path := os.environ.get("NUMA_TRIO_TALLY"):
        Path(path).write_text(json.dumps(TALLY, indent=1, sort_keys=True), encoding="utf-8")


@frozen
class Part:
    """A container: `base` is the place of its slots among those of the node, None for none."""

    kind: ContainerKind
    cpus: Fraction
    memory: int
    base: int | None
    counts: bool
    slots: bool


@frozen
class Arrival:
    """A pod comes, and kubelet is asked thereafter or not. It is Guaranteed, or Burstable."""

    parts: tuple[Part, ...]
    guaranteed: bool
    look: bool


@frozen
class Departure:
    """A pod ends."""

    place: int


@frozen
class Restart:
    """Kubelet starts anew."""


@frozen
class Look:
    """Kubelet is asked."""


Step = Arrival | Departure | Restart | Look


@st.composite
def machines(draw: st.DrawFn) -> SimulatedMachine:
    """One to four NUMA nodes, with SMT or without, in one socket or each in its own."""
    threads, sockets = draw(st.sampled_from([1, 1, 2])), draw(st.booleans())
    cpus: list[Cpu] = []
    nodes = []
    for number in range(draw(st.integers(1, 4))):
        first = len(cpus)
        for place in range(draw(st.integers(2, 5)) * threads):
            core = first + place - place % threads
            cpus.append(Cpu(first + place, number, number if sockets else 0, core))
        memory = draw(st.integers(200, 1200))
        ids = frozenset(range(first, len(cpus)))
        nodes.append(NumaNode(number, ids, memory_bytes=memory))
    return SimulatedMachine("drawn", Machine(tuple(nodes)), tuple(cpus))


@st.composite
def counted_nodes(draw: st.DrawFn) -> CountedNode:
    """With the two policies that align, and with another resource of the same CPUs or not."""
    machine = draw(machines())
    config = KubeletConfig(
        draw(st.sampled_from([Policy.SINGLE_NUMA_NODE, Policy.RESTRICTED])),
        draw(st.sampled_from(Scope)),
        draw(st.integers(1, min(3, len(machine.cpus)))),
        reserved_memory=draw(st.integers(8, 100)),
    )
    return CountedNode(machine, config, draw(st.sampled_from(UNITS)), near=draw(st.booleans()))


@st.composite
def parts(draw: st.DrawFn) -> tuple[Part, ...]:
    """The containers of a pod; more often than not all ask for the same node."""
    kinds = draw(st.lists(st.sampled_from(INITS), max_size=2)) + [ContainerKind.APP] * draw(
        st.sampled_from([1, 1, 2])
    )
    base, together = draw(st.integers(0, 4)), draw(st.sampled_from([True, True, True, False]))
    who = draw(st.sampled_from(["counted"] * 4 + ["slots", "stranger"]))
    return tuple(
        Part(
            kind,
            draw(st.sampled_from(CPUS)),
            draw(st.integers(1, 4).map(lambda n: 40 * n) | st.integers(1, 120)),
            None if who == "stranger" else base if together else draw(st.integers(0, 4)),
            counts=who == "counted",
            slots=who == "slots" or draw(st.booleans()),
        )
        for kind in kinds
    )


arrivals = st.builds(
    Arrival, parts(), st.sampled_from([True] * 7 + [False]), st.sampled_from([True, True, False])
)


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """Mostly arrivals."""
    choice = draw(st.integers(0, 19))
    if choice < 14:
        return draw(arrivals)
    if choice < 18:
        return Departure(draw(st.integers(0, 7)))
    return Restart() if choice == 18 else Look()


def pod_of(number: int, arrival: Arrival, counted: CountedNode) -> Pod:
    """With the counts that follow from each container's limits."""
    bases = [*counted.bases]
    containers = []
    for place, part in enumerate(arrival.parts):
        limits = {"cpu": part.cpus, "memory": Fraction(part.memory)}
        devices: dict[str, Fraction] = {}
        if part.base is not None:
            base = f"numa-align/{bases[part.base % len(bases)]}"
            if part.counts:
                units = -(-part.memory // counted.unit)
                devices[counted_name(base, Counted.MEMORY)] = Fraction(units)
                if part.cpus.denominator == 1:
                    devices[counted_name(base, Counted.CPU)] = part.cpus
            if part.slots:
                devices[base] = Fraction(1)
        requests = limits if arrival.guaranteed else {"cpu": Fraction(1, 10)}
        resources = Resources(requests | devices, limits | devices)
        containers.append(Container(f"c{place}", resources, part.kind))
    return Pod(f"pod-{number}", tuple(containers))


@define
class History:
    """What happens on a node, step by step, with what must hold after each."""

    counted: CountedNode
    pods: dict[str, Pod] = field(factory=dict)
    came: int = 0

    def take(self, step: Step) -> None:
        """Let one thing happen."""
        match step:
            case Arrival():
                self.arrive(step)
            case Departure() if self.pods:
                name = [*self.pods][step.place % len(self.pods)]
                self.counted.leave(self.pods.pop(name))
            case Restart():
                self.restart()
            case Look():
                self.counted.look()
        self.check()

    def arrive(self, arrival: Arrival) -> None:
        """A pod is scheduled, and if its sums fit, kubelet has its say."""
        counted, self.came = self.counted, self.came + 1
        pod = pod_of(self.came, arrival, counted)
        if (pending := counted.schedule(pod)) is not None:
            TALLY["pending"] += 1
            self.check_pending(pod, arrival, pending)
            return
        over = [r for r in asked_of(pod, counted) if overcounted(counted, r)]
        twice = asks_for_too_much_under_two_names(pod, counted)
        verdict = counted.admit(pod)
        who = "counted" if any(part.counts for part in arrival.parts) else "other"
        if verdict.admitted:
            TALLY[f"{who}: admitted"] += 1
            self.pods[pod.name] = pod
            if arrival.look:
                counted.look()
        elif refused_by_any(pod, counted):
            TALLY[f"{who}: refused on an empty node too"] += 1
        elif twice:
            TALLY[f"{who}: refused as it asks for one node under two names"] += 1
        elif who == "counted":
            assert over, f"{verdict.message}: its sums fit, and nothing is counted too high"
            causes = {counted.stale.get(r) or keepers(counted, r) for r in over}
            assert all(causes), f"{verdict.message}: counted too high, and nobody knows why"
            TALLY[f"counted: refused because {' and '.join(sorted(causes))}"] += 1

    def check_pending(self, pod: Pod, arrival: Arrival, pending: Verdict) -> None:
        """Without counts kubelet would have refused it, if it could not give that much."""
        counted = self.counted
        if not arrival.guaranteed or not all(part.counts for part in arrival.parts):
            return
        asked, bare = asked_of(pod, counted), without_counts(pod, counted)
        accounts = {resource: counted.account(resource) for resource in asked}
        needed = {resource: needed_of(pod, counted, resource) for resource in asked}
        missing = [r for r, account in accounts.items() if needed[r] > account.left]
        if missing and counted.schedule(bare) is None:
            TALLY["pending: kubelet would refuse it"] += 1
            assert not at_once(admit(counted.node, bare, counted.plugins)).admitted
        elif short := [r for r, account in accounts.items() if asked[r] > account.offered]:
            TALLY["pending: only the sums do not fit"] += not missing
            exact = all(
                asked[r] == needed[r] and not account.idle and not account.kept
                for r, account in accounts.items()
            )
            assert missing or not counted.fresh or not exact, f"{pending.message} {short}"

    def restart(self) -> None:
        """No running pod is lost because of a device's health, once two looks have passed."""
        self.counted.settle()
        healthy = deepcopy(self.counted)
        for name, resource in healthy.plugins.resources.items():
            healthy.plugins.resources[name] = resource.with_unhealthy(())
        refused = [verdict for verdict in self.counted.restart() if not verdict.admitted]
        lost = {verdict.pod.uid for verdict in refused}
        for verdict in refused:
            kinds = {each.kind for each in verdict.pod.containers}
            inits = "with" if ContainerKind.INIT in kinds else "without"
            TALLY[f"lost at a restart, {inits} init container: {(verdict.message or '')[:90]}"] += 1
        if lost:
            assert lost <= {v.pod.uid for v in healthy.restart() if not v.admitted}
        self.pods = {name: pod for name, pod in self.pods.items() if pod.uid not in lost}
        if lost:
            self.counted.look()
        TALLY["restarts"] += 1

    def check(self) -> None:
        """What is offered is what kubelet has, but for what is known to be unseen."""
        counted = self.counted
        for resource, kind in counted.counted.items():
            account = counted.account(resource)
            if resource not in counted.stale:
                assert account.offered <= max(0, account.left + max(0, account.kept)), resource
            if counted.fresh and resource in counted.plugins.resources:
                rounding = counted.unit - 1 if kind.counted is Counted.MEMORY else 0
                unused = account.idle - account.kept + rounding
                assert account.left - account.offered <= unused, resource


def asked_of(pod: Pod, counted: CountedNode) -> dict[str, int]:
    """What the pod asks of each counted resource, in CPUs and bytes."""
    requests = pod.total_requests()
    return {
        name: int(requests[name]) * (counted.unit if kind.counted is Counted.MEMORY else 1)
        for name, kind in counted.counted.items()
        if name in requests
    }


def needed_of(pod: Pod, counted: CountedNode, resource: str) -> int:
    """What the pod needs of the node of that resource, however it asks for it."""
    kind = counted.counted[resource]
    bases = {f"numa-align/{base}" for base, node in counted.bases.items() if node == kind.node}
    there = {counted_name(base, each) for base in bases for each in Counted}
    needs = [
        (c.kind, {k: v for k, v in c.resources.limits.items() if v.denominator == 1})
        for c in pod.containers
        if there & c.devices.keys()
    ]
    return int(peak_requests(needs).get(kind.counted, 0))


def asks_for_too_much_under_two_names(pod: Pod, counted: CountedNode) -> bool:
    """Whether `numa-0-cpu` and `near-data-cpu` each offer it the same CPUs, not enough for both."""
    asked = asked_of(pod, counted)
    kinds = Counter(counted.counted[resource] for resource in asked)
    return any(
        kinds[counted.counted[r]] > 1 and needed_of(pod, counted, r) > counted.account(r).left
        for r in asked
    )


def overcounted(counted: CountedNode, resource: str) -> bool:
    account = counted.account(resource)
    return account.offered > account.left


def keepers(counted: CountedNode, resource: str) -> str:
    """Why pods have more than they asked for that is not seen; empty if nothing known explains it.

    It takes an ordinary init container, as those are not listed.
    """
    more = [pod for pod in counted.node.pods.values() if counted.unseen(pod, resource) > 0]
    if not all(any(c.kind is ContainerKind.INIT for c in pod.containers) for pod in more):
        return ""
    carriers = {pod.uid for pod in more if resource in pod.total_requests()}
    if len(carriers) < len(more):
        return "a stranger's init container keeps what it had"
    if counted.counted[resource].counted is Counted.MEMORY:
        known = carriers <= counted.again
        return "kubelet started anew and keeps the memory of ended init containers" * known
    siblings = len(counted.machine.cpus) > len({cpu.core for cpu in counted.machine.cpus})
    return "an app took other CPUs than its init container's" * (bool(carriers) and siblings)


def refused_by_any(pod: Pod, counted: CountedNode) -> bool:
    """Whether kubelet refuses the pod on a node with nothing else on it."""
    empty = CountedNode(counted.machine, counted.config, counted.unit, counted.near)
    return empty.schedule(pod) is not None or not empty.admit(pod).admitted


@given(counted_nodes(), st.lists(steps(), min_size=6, max_size=18))
@settings(max_examples=SEQUENCES, derandomize="NUMA_TRIO_SEQUENCES" not in os.environ)
def test_what_fits_the_sums_kubelet_admits(counted: CountedNode, happening: list[Step]) -> None:
    """A pod with the counts is refused only where more is offered than kubelet has."""
    history = History(counted)
    for step in happening:
        history.take(step)
    TALLY["sequences"] += 1
    TALLY["pods"] += history.came
