"""The real agent beside the kubelet stand-in, and step for step what should come of it."""

import os
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Protocol

import trio
from attrs import define, field, frozen

from numa_trio.kubelet.directory import KUBELET_SOCKET
from numa_trio.kubelet.rpc.loop import open_bridge
from numa_trio.simulator.admission import Verdict, scheduler_verdict
from numa_trio.simulator.agent_child import agent_child
from numa_trio.simulator.cpus import SimulatedMachine
from numa_trio.simulator.events import Event, EventKind
from numa_trio.simulator.expectation import broken_promises, differences
from numa_trio.simulator.ideal import IdealCluster, Offer
from numa_trio.simulator.kubelet import ADMIT_AGAIN, KubeletStandIn, open_kubelet
from numa_trio.simulator.kubelet_config import KubeletConfig
from numa_trio.simulator.sysfs_tree import write_sysfs
from numa_trio.simulator.wiring_tree import write_host
from numa_trio.workloads.pod import Pod

WAIT_LIMIT = 60.0  # seconds that any one thing may take; only a busy machine needs several

AGENT_LOG = "agent.log"
SOCKET_DIR = "sockets"
_POD_RESOURCES = "pod-resources.sock"

_INTERVAL = "1"  # seconds between two questions of the agent to the pod-resources API
_STARTING = 11.0  # so long the agent does not trust a kubelet that has just started

_TOLD = {
    EventKind.LISTENING: "kubelet listens on {subject}",
    EventKind.LISTED: "{subject}: {detail}",
    EventKind.REFUSED: "kubelet refuses to register {subject}: {detail}",
    EventKind.DISCONNECTED: "{subject} lost its plugin",
    EventKind.STOPPED: "kubelet was killed; kubelet.sock stays behind, dead",
    EventKind.KILLED: "{subject} was running and is killed: {detail}",
    EventKind.NOT_STARTED: "{subject} could not be started: {detail}",
}


class TookTooLong(Exception):
    """Something did not happen within the limit."""


class Observer(Protocol):
    """Whoever watches a simulation."""

    def happened(self, seconds: float, what: str) -> None:
        """Something happened, so many seconds after the beginning."""

    def waiting(self, what: str) -> None:
        """From now on this is being waited for."""


@frozen
class Setup:
    """What is simulated. `offer` is what the agent has to offer on this machine.

    `sysfs_root` is the machine's own sysfs; None if it must be written. `variables` are the
    agent's environment, apart from its directories. `remarks` are told once the agent runs.
    `admit_again` is how many seconds after its socket is there kubelet admits the running pods
    again.
    """

    machine: SimulatedMachine
    config: KubeletConfig
    offer: Offer
    variables: Mapping[str, str]
    sysfs_root: Path | None = None
    remarks: tuple[str, ...] = ()
    admit_again: float = ADMIT_AGAIN


@define
class Record:
    """What happened, by seconds since the beginning, and what was not as it should be."""

    timeline: list[tuple[float, str]] = field(factory=list)
    problems: list[str] = field(factory=list)


@define(eq=False)
class Trial:
    """A running agent, whose process is `agent`, with its kubelet, and the `ideal` of both."""

    kubelet: KubeletStandIn
    agent: int
    ideal: IdealCluster
    pod_resources: Path
    observer: Observer
    _notes: "_Notes"
    prefix: str = ""  # of problems from now on
    _diverged: bool = False

    def tell(self, what: str) -> None:
        """Note something that happened now."""
        self._notes.tell(what)

    def complain(self, *problems: str) -> None:
        """Note the problems that are new."""
        known = set(self._notes.record.problems)
        new = (each for each in problems if each not in known)
        self._notes.record.problems += (self.prefix + each for each in new)

    async def create(self, pod: Pod) -> Verdict:
        """Have a pod scheduled and admitted, and the agent look at what it got."""
        self.observer.waiting(f"kubelet to admit {pod.name}")
        planned = await self.ideal.admit(pod)
        verdict = scheduler_verdict(self.kubelet.node, pod) or await self._admit(pod)
        self.complain(*differences(planned, verdict))
        node, resources = self.kubelet.node, self.ideal.resources
        aligns = node.config.aligns
        self.complain(*broken_promises(node.machine, resources, verdict, aligns=aligns))
        self._diverged |= planned.admitted is not verdict.admitted
        await self.settle()
        return verdict

    def remove(self, pod: Pod) -> None:
        """Delete a pod."""
        self.kubelet.remove(pod)
        self.ideal.remove(pod)

    async def settle(self) -> None:
        """Wait until what is allocatable follows from what pods have.

        Not once a pod was treated otherwise than it should be: there is no telling then.
        """
        if not self._diverged:
            await self.wait_for_resources("the agent to look at what kubelet has given away")

    async def wait_for_resources(self, what: str) -> None:
        """Wait until the resources that should be allocatable are; `what` is told to observers."""
        wanted = {resource.name: resource.healthy_count for resource in self.ideal.resources}
        kubelet = self.kubelet

        def all_there() -> bool:
            return all(kubelet.allocatable(name) == count for name, count in wanted.items())

        if not all_there():
            self.observer.waiting(what)
        with trio.move_on_after(WAIT_LIMIT):
            await kubelet.wait_until(all_there)
        seen = {name: kubelet.allocatable(name) for name in kubelet.node.devices.resources}
        if not all_there():
            raise TookTooLong(
                f"not all resources were allocatable within {WAIT_LIMIT:g} s:"
                f" expected {wanted}, found {seen}"
            )
        if surplus := sorted(seen.keys() - wanted):
            self.complain(f"the agent offers {', '.join(surplus)}, which it should not")

    def trust_kubelet(self) -> None:
        """Have the agent ask kubelet from now on, although it has just started."""
        if self.ideal.offer.counted:
            _make_older(self.pod_resources)

    async def _admit(self, pod: Pod) -> Verdict:
        with trio.move_on_after(WAIT_LIMIT):
            return await self.kubelet.admit(pod)
        raise TookTooLong(
            f"{pod.name} was not admitted within {WAIT_LIMIT:g} s:"
            " the agent did not answer Allocate"
        )


@define(eq=False)
class _Notes:
    record: Record
    observer: Observer
    _start: float = field(factory=trio.current_time)

    def tell(self, what: str) -> None:
        seconds = trio.current_time() - self._start
        self.record.timeline.append((seconds, what))
        self.observer.happened(seconds, what)

    def on_event(self, event: Event) -> None:
        if text := _TOLD.get(event.kind):
            self.tell(text.format(subject=event.subject, detail=event.detail))


@asynccontextmanager
async def open_trial(
    setup: Setup, directory: Path, observer: Observer, record: Record
) -> AsyncIterator[Trial]:
    """Start kubelet and the agent; ends both, and says in the `record` what the agent left.

    Sockets are in `SOCKET_DIR` of the `directory`, the log is in `AGENT_LOG`. Raises `AgentFailed`
    and `TookTooLong`.
    """
    notes = _Notes(record, observer)
    ideal = IdealCluster.create(setup.machine, setup.config, setup.offer)
    sockets, pod_resources = directory / SOCKET_DIR, directory / _POD_RESOURCES
    async with (
        open_bridge(),
        open_kubelet(
            sockets,
            setup.machine,
            setup.config,
            admit_again=setup.admit_again,
            on_event=notes.on_event,
            pod_resources=pod_resources if setup.offer.counted else None,
        ) as kubelet,
    ):
        await kubelet.start()
        if setup.offer.counted:
            for socket in (sockets / KUBELET_SOCKET, pod_resources):
                _make_older(socket)
        variables = {
            **setup.variables,
            "NUMA_SOCKET_DIR": str(sockets),
            **_roots(setup, directory),
            "NUMA_POD_RESOURCES_SOCKET": str(pod_resources),
            "NUMA_POD_RESOURCES_INTERVAL": _INTERVAL,
        }
        async with agent_child(variables, directory / AGENT_LOG) as agent:
            trial = Trial(kubelet, agent, ideal, pod_resources, observer, notes)
            trial.tell(f"the agent was started as process {agent}")
            for remark in setup.remarks:
                trial.tell(remark)
            for name, reason in ideal.reasons.items():
                trial.tell(f"{name} cannot be counted: {reason}")
            await trial.wait_for_resources("the agent to register its resources")
            yield trial
            observer.waiting("the agent to end")
        notes.tell("the agent ended after SIGTERM")
    left = sorted(path.name for path in sockets.glob("numa-*.sock"))
    if left:
        record.problems.append(f"the agent left its sockets behind: {', '.join(left)}")


def _make_older(socket: Path) -> None:
    """Let it look as if kubelet had not just started: the agent does not ask one that has."""
    then = socket.stat().st_mtime - _STARTING
    os.utime(socket, (then, then))


def _roots(setup: Setup, directory: Path) -> dict[str, str]:
    """Where the agent finds the machine."""
    if setup.sysfs_root is not None:
        return {"NUMA_SYSFS_ROOT": str(setup.sysfs_root)}
    sysfs, host = directory / "sys", directory / "host"
    write_sysfs(sysfs, setup.machine)
    write_host(host, sysfs, setup.machine.wiring)
    return {"NUMA_SYSFS_ROOT": str(sysfs), "NUMA_HOST_ROOT": str(host)}
