"""The checks in order, from the first deployment to the last."""

from collections.abc import Generator, Iterator
from functools import partial
from itertools import count
from typing import Literal

from attrs import Factory, define, field

from e2e.burstable import burstable, read_pinning
from e2e.cluster import Cluster, Machine, Outcome
from e2e.deployment import Plugin
from e2e.host_service import host_service
from e2e.keeper import Keeper, keeper_probes
from e2e.near import near, near_slots
from e2e.overfull import overfull
from e2e.placement import placed
from e2e.pods import RESTARTED, TELL_KUBELET_GENERATION, PodMaker, Probe
from e2e.report import Result
from e2e.verdicts import (
    Verdict,
    judge,
    ran,
    refused,
    skip,
    slots_are,
    why_not_refused,
)


def _pod_maker(journey: "Journey") -> PodMaker:
    plan = journey.cluster.plan
    return PodMaker(plan.namespace, plan.pod_image, plan.domain)


@define
class Journey:
    """One run of the test on a cluster that is prepared for it and cleaned up by the caller."""

    cluster: Cluster
    _make: PodMaker = field(init=False, default=Factory(_pod_maker, takes_self=True))
    _numbers: Iterator[int] = field(init=False, factory=count)

    def results(self) -> Iterator[Result]:
        """Each check's result as it comes. Raises `CannotTest` and `KubectlFailed`."""
        plan = self.cluster.plan
        plugin = self.cluster.deploy(plan.capacity)
        pods = self.cluster.await_rollout(plugin)
        yield Result(
            "plugin rolls out", "cluster", judge(bool(pods), f"ready on {len(pods)} nodes")
        )
        for name in self.cluster.node_names():
            if self.cluster.node(name).host_service:
                yield from host_service(self.cluster, name, name in pods, self._run_on)
                pods.pop(name, None)
            elif name not in pods:
                yield Result("all other checks", name, skip("no pod of the plugin runs here"))
        machines = [self.cluster.machine(plugin, name, pods[name]) for name in sorted(pods)]
        yield from self._slots("allocatable = capacity", machines, plan.capacity)
        for machine in machines:
            yield from self._placements(machine)
            yield self._two_nodes(machine)
            yield from self._init_containers(machine)
            yield from near(self.cluster, machine, self._run)
            pinning = read_pinning(self.cluster, plugin, pods[machine.name])
            yield from burstable(machine, pinning, self._run)
            crowd = f"crowd-{next(self._numbers)}"
            yield from overfull(self.cluster, self._make, machine, crowd)
        for machine in machines:
            yield from self._kubelet_restart(plugin, machine, pods[machine.name])
        yield from self._plugin_rollout(plugin, machines, pods)
        yield from self._changed_capacity(machines)

    def _slots(self, check: str, machines: list[Machine], capacity: int) -> Iterator[Result]:
        """All slots become allocatable, and stay so."""
        for machine in machines:
            self.cluster.until(partial(self._has_slots, machine, capacity))
        self.cluster.sleep(self.cluster.plan.settle)
        for machine in machines:
            yield from self._slots_of(check, machine, capacity)

    def _slots_of(self, check: str, machine: Machine, capacity: int) -> Iterator[Result]:
        node = self.cluster.node(machine.name)
        yield Result(check, machine.name, slots_are(node, machine.advertised, capacity))
        yield from near_slots(check, machine, node, capacity)

    def _has_slots(self, machine: Machine, capacity: int) -> Literal[True] | None:
        results = self._slots_of("", machine, capacity)
        return all(each.finding.verdict is not Verdict.FAILED for each in results) or None

    def _run(self, machine: Machine, probe: Probe, *init: Probe) -> Outcome:
        return self._run_on(machine.name, probe, *init)

    def _run_on(self, node: str, probe: Probe, *init: Probe) -> Outcome:
        name = f"probe-{next(self._numbers)}"
        return self.cluster.run_pod(self._make.probe(name, node, probe, init=init))

    def _placements(self, machine: Machine) -> Iterator[Result]:
        """A pod on each NUMA node has its CPUs, its memory and its name from there."""
        for numa_node in machine.advertised:
            check = f"pod on NUMA node {numa_node}"
            outcome = self._run(machine, Probe("app", (numa_node,)))
            yield from placed(check, machine, outcome, {numa_node})

    def _two_nodes(self, machine: Machine) -> Result:
        """One container that asks for two NUMA nodes is refused."""
        check = "two NUMA nodes in one container are refused"
        reason = why_not_refused(machine.policies, machine.advertised, by_cpus=False)
        if reason:
            return Result(check, machine.name, skip(reason))
        low, high = machine.advertised[0], machine.advertised[-1]
        outcome = self._run(machine, Probe("app", (low, high)))
        return Result(check, machine.name, refused(outcome.state, outcome.denied, "NA005"))

    def _init_containers(self, machine: Machine) -> Iterator[Result]:
        """A first init container needs the resource too, or takes its CPU from the first node."""
        high = max(machine.advertised, default=0)
        app, bare, right = Probe("app", (high,)), Probe("init"), Probe("init", (high,))
        check = "init container without the resource is refused"
        reason = why_not_refused(machine.policies, machine.advertised, by_cpus=True)
        if reason:
            yield Result(check, machine.name, skip(reason))
        else:
            outcome = self._run(machine, app, bare)
            yield Result(check, machine.name, refused(outcome.state, outcome.denied, "NA004"))
        outcome = self._run(machine, app, right)
        check = "init container with the resource runs"
        yield Result(check, machine.name, ran(outcome.state, outcome.denied))

    def _kubelet_restart(self, plugin: Plugin, machine: Machine, pod: str) -> Iterator[Result]:
        """After a restart of kubelet the slots come back, pods live on, and pods are admitted."""
        event = "kubelet restart"
        keepers = [self._keeper(machine, probe) for probe in keeper_probes(machine)]
        renewed = yield from self._restarted(plugin, machine, pod)
        if renewed:
            yield from self._slots(f"allocatable after {event}", [machine], self._capacity)
            for keeper in keepers:
                check = f"running {keeper.what} lives on after {event}"
                yield Result(check, machine.name, keeper.lives_on(self.cluster))
        for keeper in keepers:
            self.cluster.delete_pod(keeper.name)
        if renewed:
            yield from self._admitted(event, [machine])

    def _keeper(self, machine: Machine, probe: Probe) -> Keeper:
        name = f"keeper-{next(self._numbers)}"
        pod = self._make.keeper(name, machine.name, probe)
        return Keeper(name, probe, self.cluster.start_pod(pod))

    def _restarted(
        self, plugin: Plugin, machine: Machine, pod: str
    ) -> Generator[Result, None, bool]:
        """Restart kubelet; returns whether there is a new one."""
        check = "kubelet restart"

        def generation() -> str:
            return self.cluster.in_plugin(plugin, pod, TELL_KUBELET_GENERATION)

        before = generation()
        name = f"restart-{next(self._numbers)}"
        outcome = self.cluster.run_pod(self._make.kubelet_restart(name, machine.name))
        said = (outcome.denied or outcome.log or str(outcome.state)).strip()
        if not said.startswith(RESTARTED):
            yield Result(check, machine.name, skip(f"could not restart kubelet: {said}"))
            return False
        if not self.cluster.until(lambda: generation() != before or None):
            yield Result(
                check, machine.name, judge(False, f"{said}, but kubelet.sock is the old one")
            )
            return False
        yield Result(check, machine.name, judge(True, f"{said}; a new kubelet.sock"))
        return True

    def _plugin_rollout(
        self, plugin: Plugin, machines: list[Machine], before: dict[str, str]
    ) -> Iterator[Result]:
        """After the plugin's pods were replaced the slots are there, and pods are admitted."""
        workload = f"daemonset/{plugin.daemonset}"
        self.cluster.kubectl("rollout", "restart", workload, "-n", plugin.namespace)
        pods = self.cluster.await_rollout(plugin)
        renewed = set(pods) == set(before) and not set(pods.values()) & set(before.values())
        seen = f"{len(set(pods.values()) - set(before.values()))} of {len(before)} pods replaced"
        yield Result("plugin rollout", "cluster", judge(renewed, seen))
        event = "plugin rollout"
        yield from self._slots(f"allocatable after {event}", machines, self._capacity)
        yield from self._admitted(event, machines)

    @property
    def _capacity(self) -> int:
        return self.cluster.plan.capacity

    def _admitted(self, event: str, machines: list[Machine]) -> Iterator[Result]:
        for machine in machines:
            for numa_node in machine.advertised[:1]:
                outcome = self._run(machine, Probe("app", (numa_node,)))
                check = f"pod on NUMA node {numa_node} after {event}"
                yield Result(check, machine.name, ran(outcome.state, outcome.denied))

    def _changed_capacity(self, machines: list[Machine]) -> Iterator[Result]:
        """Another capacity in the ConfigMap rolls the DaemonSet and reaches kubelet."""
        capacity = self.cluster.plan.other_capacity
        plugin = self.cluster.deploy(capacity)
        self.cluster.await_rollout(plugin)
        yield from self._slots(f"capacity changed to {capacity}", machines, capacity)
