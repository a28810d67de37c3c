"""The checks in order, from the first deployment to the last."""

from collections.abc import Generator, Iterator
from functools import partial
from itertools import count
from typing import Literal

from attrs import Factory, define, field

from e2e.cluster import Cluster, Machine, Outcome
from e2e.deployment import Plugin
from e2e.objects import parse_placement
from e2e.overfull import overfull
from e2e.pods import RESTARTED, TELL_KUBELET_GENERATION, PodMaker, Probe
from e2e.report import Result
from e2e.verdicts import (
    Finding,
    cpus_are_of,
    environment_is,
    is_denied,
    is_refused,
    judge,
    memory_is_of,
    ran,
    ran_on,
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
            if name not in pods:
                yield Result("all other checks", name, skip("no pod of the plugin runs here"))
        machines = [self.cluster.machine(plugin, name, pods[name]) for name in sorted(pods)]
        yield from self._slots("allocatable = capacity", machines, plan.capacity)
        for machine in machines:
            yield from self._placements(machine)
            yield self._two_nodes(machine)
            yield from self._init_containers(machine)
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
            yield Result(check, machine.name, self._slots_of(machine, capacity))

    def _slots_of(self, machine: Machine, capacity: int) -> Finding:
        return slots_are(self.cluster.node(machine.name), machine.advertised, capacity)

    def _has_slots(self, machine: Machine, capacity: int) -> Literal[True] | None:
        return self._slots_of(machine, capacity).passed or None

    def _run(self, machine: Machine, probe: Probe, *init: Probe) -> Outcome:
        name = f"probe-{next(self._numbers)}"
        return self.cluster.run_pod(self._make.probe(name, machine.name, probe, init=init))

    def _placements(self, machine: Machine) -> Iterator[Result]:
        """A pod on each NUMA node has its CPUs, its memory and its name from there."""
        for numa_node in machine.advertised:
            check = f"pod on NUMA node {numa_node}"
            outcome = self._run(machine, Probe("app", (numa_node,)))
            if outcome.state.phase != "Succeeded":
                yield Result(check, machine.name, ran(outcome.state, outcome.denied))
                continue
            placement = parse_placement(outcome.log)
            cpus = machine.cpus[numa_node]
            for subject, finding in (
                ("environment", environment_is(placement, numa_node)),
                ("CPUs", cpus_are_of(placement, cpus, machine.policies)),
                ("memory", memory_is_of(placement, numa_node, machine.policies)),
            ):
                yield Result(f"{check}: {subject}", machine.name, finding)

    def _two_nodes(self, machine: Machine) -> Result:
        """One container that asks for two NUMA nodes is refused."""
        check = "two NUMA nodes in one container are refused"
        reason = why_not_refused(machine.policies, machine.advertised, by_cpus=False)
        if reason:
            return Result(check, machine.name, skip(reason))
        low, high = machine.advertised[0], machine.advertised[-1]
        outcome = self._run(machine, Probe("app", (low, high)))
        return Result(check, machine.name, _refusal(outcome, "NA005"))

    def _init_containers(self, machine: Machine) -> Iterator[Result]:
        """A first init container needs the resource too, or takes its CPU from the first node."""
        high = max(machine.advertised, default=0)
        app, bare, right = Probe("app", (high,)), Probe("init"), Probe("init", (high,))
        check = "init container without the resource is refused"
        reason = why_not_refused(machine.policies, machine.advertised, by_cpus=True)
        if reason:
            yield Result(check, machine.name, skip(reason))
        else:
            yield Result(check, machine.name, _refusal(self._run(machine, app, bare), "NA004"))
        outcome = self._run(machine, app, right)
        check = "init container with the resource runs"
        yield Result(check, machine.name, ran(outcome.state, outcome.denied))

    def _kubelet_restart(self, plugin: Plugin, machine: Machine, pod: str) -> Iterator[Result]:
        """After a restart of kubelet the slots come back, pods live on, and pods are admitted."""
        keeper = f"keeper-{next(self._numbers)}"
        node = max(machine.advertised, default=0)
        kept = self.cluster.start_pod(self._make.keeper(keeper, machine.name, node))
        renewed = yield from self._restarted(plugin, machine, pod)
        if renewed:
            event = "kubelet restart"
            yield from self._slots(f"allocatable after {event}", [machine], self._capacity)
            yield Result(
                f"running pod with an init container lives on after {event}",
                machine.name,
                ran_on(self.cluster.pod_state(keeper))
                if kept.state.phase == "Running"
                else skip(f"it did not run before: {ran(kept.state, kept.denied).seen}"),
            )
        self.cluster.delete_pod(keeper)
        if renewed:
            yield from self._admitted("kubelet restart", [machine])

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


def _refusal(outcome: Outcome, code: str) -> Finding:
    if outcome.denied is not None:
        return is_denied(outcome.denied, code)
    return is_refused(outcome.state)
