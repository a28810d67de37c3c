"""Whether a pod got the NUMA node that it asks for, and if not, why and what to change."""

from collections.abc import Iterator, Mapping, Sequence
from enum import StrEnum

from attrs import frozen

from numa_trio.plugin.resource import NumaResource
from numa_trio.simulator.admission import UNSCHEDULABLE, Verdict
from numa_trio.simulator.cpu_policy import whole_cpus
from numa_trio.simulator.expectation import asked_of, strays, wrong_variables
from numa_trio.simulator.kubelet_config import MemoryManagerPolicy
from numa_trio.simulator.needs import missing_resources, missing_room
from numa_trio.simulator.room import NodeRoom
from numa_trio.simulator.trial import Setup
from numa_trio.workloads.rules import asks_for, broken_rules


class PodOutcome(StrEnum):
    """What became of a pod."""

    PINNED = "pinned"  # it has CPUs and memory of its own on the node that it asks for
    UNPINNED = "unpinned"  # it runs, but not so
    RUNNING = "running"  # it asks for no node
    REFUSED = "refused"  # by kubelet
    PENDING = "pending"  # the scheduler finds no room


@frozen
class Finding:
    """What is wrong with a pod and what to change; `code` is that of a rule that it breaks."""

    text: str
    code: str | None = None

    def __str__(self) -> str:
        return f"{self.code}: {self.text}" if self.code else self.text


@frozen
class Judged:
    """A verdict, and what it means.

    `asks_for` has the resources that containers ask a node by, `pinned` the containers that are
    on their node, both by the name of the container.
    """

    verdict: Verdict
    asks_for: Mapping[str, tuple[str, ...]]
    pinned: frozenset[str]
    outcome: PodOutcome
    findings: tuple[Finding, ...]


def judge(
    setup: Setup,
    resources: Sequence[NumaResource],
    verdict: Verdict,
    before: Mapping[int, NodeRoom],
) -> Judged:
    """What a verdict means, with these resources; `before` is what was free when the pod came."""
    asking = {
        container.name: names
        for container in verdict.pod.containers
        if (names := asks_for(container, setup.offer.domain))
    }
    pinned = _pinned(setup, resources, verdict)
    outcome = _outcome(resources, verdict, pinned)
    findings = tuple(_findings(setup, resources, verdict, before)) if asking else ()
    return Judged(verdict, asking, pinned, outcome, findings)


def _outcome(
    resources: Sequence[NumaResource], verdict: Verdict, pinned: frozenset[str]
) -> PodOutcome:
    if not verdict.admitted:
        return PodOutcome.PENDING if verdict.reason == UNSCHEDULABLE else PodOutcome.REFUSED
    asking = {each.name for each in verdict.pod.containers if asked_of(resources, each)}
    if not asking:
        return PodOutcome.RUNNING
    return PodOutcome.PINNED if asking <= pinned else PodOutcome.UNPINNED


def _pinned(setup: Setup, resources: Sequence[NumaResource], verdict: Verdict) -> frozenset[str]:
    """The containers with CPUs and memory of their own on a node that suits all they ask for."""
    binds_memory = setup.config.memory_manager is MemoryManagerPolicy.STATIC
    found = set()
    for placement in verdict.placements:
        asked = asked_of(resources, placement.container)
        alone = Verdict(verdict.pod, (placement,))
        if (
            asked
            and frozenset.intersection(*(frozenset(each.numa_nodes) for each in asked))
            and whole_cpus(verdict.pod, placement.container)
            and (placement.memory_bound or not binds_memory)
            and not wrong_variables(resources, alone)
            and not strays(setup.machine, resources, alone)
        ):
            found.add(placement.container.name)
    return frozenset(found)


def _findings(
    setup: Setup,
    resources: Sequence[NumaResource],
    verdict: Verdict,
    before: Mapping[int, NodeRoom],
) -> Iterator[Finding]:
    offer = setup.offer
    for rule in broken_rules(verdict.pod, offer.domain, offer.memory_unit):
        yield Finding(rule.text, rule.code)
    if verdict.admitted:
        for stray in strays(setup.machine, resources, verdict):
            yield Finding(f"{stray}.")
    else:
        for text in missing_resources(setup, resources, verdict):
            yield Finding(text)
        for text in missing_room(resources, verdict.pod, before):
            yield Finding(text)
