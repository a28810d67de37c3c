"""A run of the real agent with the kubelet stand-in: pods, a kubelet restart, pods again."""

import os
import signal
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Protocol

import trio
from attrs import define, field, frozen

from numa_trio.exception_groups import flattened
from numa_trio.kubelet.rpc.loop import open_bridge
from numa_trio.plugin.resource import NumaResource
from numa_trio.simulator.admission import Verdict, scheduler_verdict
from numa_trio.simulator.agent_child import AgentFailed, agent_child
from numa_trio.simulator.cpus import SimulatedMachine
from numa_trio.simulator.events import Event, EventKind
from numa_trio.simulator.expectation import broken_promises, differences, expected_verdicts
from numa_trio.simulator.kubelet import ADMIT_AGAIN, KubeletStandIn, open_kubelet
from numa_trio.simulator.kubelet_config import KubeletConfig
from numa_trio.simulator.sysfs_tree import write_sysfs
from numa_trio.workloads.pod import ContainerKind, Pod

WAIT_LIMIT = 60.0  # seconds that any one thing may take; only a busy machine needs several
KUBELET_DOWN = 0.5  # seconds between the end of kubelet and its new start

AGENT_LOG = "agent.log"
SOCKET_DIR = "sockets"

_TOLD = {
    EventKind.LISTENING: "kubelet listens on {subject}",
    EventKind.LISTED: "{subject}: {detail}",
    EventKind.REFUSED: "kubelet refuses to register {subject}: {detail}",
    EventKind.DISCONNECTED: "{subject} lost its plugin",
    EventKind.STOPPED: "kubelet was killed; kubelet.sock stays behind, dead",
    EventKind.KILLED: "{subject} was running and is killed: {detail}",
    EventKind.NOT_STARTED: "{subject} could not be started: {detail}",
}


class _TookTooLong(Exception):
    """Something did not happen within the limit."""


class Observer(Protocol):
    """Whoever watches a simulation."""

    def happened(self, seconds: float, what: str) -> None:
        """Something happened, so many seconds after the beginning."""

    def waiting(self, what: str) -> None:
        """From now on this is being waited for."""


@frozen
class Plan:
    """What is simulated. `resources` are what the agent has to offer on this machine.

    `sysfs_root` is the machine's own sysfs; None if it must be written. `variables` are the
    agent's environment, apart from its directories. `admit_again` is how many seconds after its
    socket is there kubelet admits the running pods again. With `hold_agent` the agent is frozen
    while kubelet restarts, until so many seconds after the socket is there.
    """

    machine: SimulatedMachine
    config: KubeletConfig
    resources: tuple[NumaResource, ...]
    pods: tuple[Pod, ...]
    variables: Mapping[str, str]
    sysfs_root: Path | None = None
    admit_again: float = ADMIT_AGAIN
    hold_agent: float | None = None


@define
class Report:
    """What came of it: `verdicts` on the pods for each life of kubelet, and all `problems`.

    `again` are those on the pods that ran when kubelet was restarted.
    """

    timeline: list[tuple[float, str]] = field(factory=list)
    verdicts: list[list[Verdict]] = field(factory=list)
    again: tuple[Verdict, ...] = ()
    problems: list[str] = field(factory=list)
    recovery_seconds: float | None = None  # from the new kubelet.sock to all slots allocatable


async def simulate(plan: Plan, directory: Path, observer: Observer) -> Report:
    """Run it in an empty directory: sockets are in its `SOCKET_DIR`, the log in `AGENT_LOG`."""
    run = _Run(plan, directory, observer)
    try:
        await run.run()
    except* (AgentFailed, _TookTooLong) as failures:
        run.report.problems += map(str, flattened(failures))
    return run.report


@define(eq=False)
class _Run:
    plan: Plan
    directory: Path
    observer: Observer
    report: Report = field(factory=Report)
    _start: float = field(factory=trio.current_time)

    async def run(self) -> None:
        plan = self.plan
        expected = await expected_verdicts(plan.machine, plan.config, plan.resources, plan.pods)
        sockets = self.directory / SOCKET_DIR
        async with (
            open_bridge(),
            open_kubelet(
                sockets,
                plan.machine,
                plan.config,
                admit_again=plan.admit_again,
                on_event=self._on_event,
            ) as kubelet,
        ):
            await kubelet.start()
            async with agent_child(self._variables(sockets), self.directory / AGENT_LOG) as pid:
                self._tell(f"the agent was started as process {pid}")
                await self._wait_for_resources(kubelet)
                await self._admit_all(kubelet, expected.verdicts)
                await self._restart(kubelet, pid)
                await self._look_again(kubelet, expected.again)
                for pod in plan.pods:
                    kubelet.remove(pod)
                await self._admit_all(kubelet, expected.verdicts)
                self.observer.waiting("the agent to end")
            self._tell("the agent ended after SIGTERM")
        left = sorted(path.name for path in sockets.glob("numa-*.sock"))
        if left:
            self.report.problems.append(f"the agent left its sockets behind: {', '.join(left)}")

    def _variables(self, sockets: Path) -> dict[str, str]:
        sysfs_root = self.plan.sysfs_root
        if sysfs_root is None:
            sysfs_root = self.directory / "sys"
            write_sysfs(sysfs_root, self.plan.machine)
        return {
            **self.plan.variables,
            "NUMA_SOCKET_DIR": str(sockets),
            "NUMA_SYSFS_ROOT": str(sysfs_root),
        }

    async def _wait_for_resources(self, kubelet: KubeletStandIn) -> None:
        wanted = {resource.name: resource.healthy_count for resource in self.plan.resources}

        def all_there() -> bool:
            return all(kubelet.allocatable(name) == count for name, count in wanted.items())

        self.observer.waiting("the agent to register its resources")
        with trio.move_on_after(WAIT_LIMIT):
            await kubelet.wait_until(all_there)
        seen = {name: kubelet.allocatable(name) for name in kubelet.node.devices.resources}
        if not all_there():
            raise _TookTooLong(
                f"not all resources were allocatable within {WAIT_LIMIT:g} s:"
                f" expected {wanted}, found {seen}"
            )
        if surplus := sorted(seen.keys() - wanted):
            self._complain([f"the agent offers {', '.join(surplus)}, which it should not"])

    async def _admit_all(self, kubelet: KubeletStandIn, expected: Sequence[Verdict]) -> None:
        verdicts: list[Verdict] = []
        self.report.verdicts.append(verdicts)
        for pod, planned in zip(self.plan.pods, expected, strict=True):
            self.observer.waiting(f"kubelet to admit {pod.name}")
            verdict = scheduler_verdict(kubelet.node, pod) or await self._admit(kubelet, pod)
            verdicts.append(verdict)
            self._complain(differences(planned, verdict))
            self._complain(broken_promises(self.plan.machine, self.plan.resources, verdict))
        counts = Counter(verdict.reason or "running" for verdict in verdicts)
        self._tell("pods: " + ", ".join(f"{count} {what}" for what, count in counts.items()))

    async def _admit(self, kubelet: KubeletStandIn, pod: Pod) -> Verdict:
        with trio.move_on_after(WAIT_LIMIT):
            return await kubelet.admit(pod)
        raise _TookTooLong(
            f"{pod.name} was not admitted within {WAIT_LIMIT:g} s:"
            " the agent did not answer Allocate"
        )

    async def _restart(self, kubelet: KubeletStandIn, agent: int) -> None:
        hold = self.plan.hold_agent
        self.observer.waiting("kubelet to come back")
        await kubelet.stop()
        if hold is not None:
            os.kill(agent, signal.SIGSTOP)
            self._tell("the agent is held back")
        await trio.sleep(KUBELET_DOWN)
        await kubelet.start()
        listening = trio.current_time()
        if hold is not None:
            await trio.sleep(hold)
            os.kill(agent, signal.SIGCONT)
            self._tell("the agent goes on")
        await self._wait_for_resources(kubelet)
        self.report.recovery_seconds = trio.current_time() - listening
        self._tell("all slots are allocatable again")

    async def _look_again(self, kubelet: KubeletStandIn, expected: Sequence[Verdict]) -> None:
        """Wait until kubelet has admitted the running pods again, or killed them."""
        self.observer.waiting("kubelet to admit the running pods again")
        self.report.again = tuple(await kubelet.admitted_again())
        refused = {verdict.pod.uid for verdict in expected if not verdict.admitted}
        for verdict in self.report.again:
            name = verdict.pod.name
            if not verdict.admitted and verdict.pod.uid not in refused:
                self.report.problems.append(
                    f"{name} ran when kubelet was restarted, and was killed with"
                    f" {verdict.reason}: {verdict.message}"
                )
            elif _lasting(verdict) != self._lasting_before(verdict):
                self.report.problems.append(f"{name} did not keep what it had over the restart")
        survivors = sum(verdict.admitted for verdict in self.report.again)
        self._tell(f"{survivors} of the {len(self.report.again)} pods that ran go on running")

    def _lasting_before(self, verdict: Verdict) -> Mapping[str, object]:
        (first, *_) = self.report.verdicts
        (before,) = (each for each in first if each.pod.uid == verdict.pod.uid)
        return _lasting(before) if verdict.admitted else {}

    def _on_event(self, event: Event) -> None:
        if text := _TOLD.get(event.kind):
            self._tell(text.format(subject=event.subject, detail=event.detail))

    def _complain(self, problems: Sequence[str]) -> None:
        """Note the problems that are new."""
        after = "after the restart: " if len(self.report.verdicts) > 1 else ""
        known = set(self.report.problems)
        self.report.problems += (after + each for each in problems if each not in known)

    def _tell(self, what: str) -> None:
        seconds = trio.current_time() - self._start
        self.report.timeline.append((seconds, what))
        self.observer.happened(seconds, what)


def _lasting(verdict: Verdict) -> Mapping[str, object]:
    """What the containers have that run on: their own CPUs, bound memory and devices."""
    return {
        placement.container.name: (
            placement.cpus if placement.exclusive else "shared",
            placement.memory_nodes,
            placement.devices,
            placement.environment,
        )
        for placement in verdict.placements
        if placement.container.kind is not ContainerKind.INIT
    }
