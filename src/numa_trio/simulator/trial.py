"""The real agent beside the kubelet stand-in, and step for step what should come of it."""

import os
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import trio
from attrs import define, frozen

from numa_trio.kubelet.rpc.loop import open_bridge
from numa_trio.simulator.admission import Verdict, scheduler_verdict
from numa_trio.simulator.agent_child import agent_child
from numa_trio.simulator.cpus import SimulatedMachine
from numa_trio.simulator.expectation import broken_promises, differences
from numa_trio.simulator.ideal import IdealCluster, Offer
from numa_trio.simulator.kubelet import ADMIT_AGAIN, KubeletStandIn, open_kubelet
from numa_trio.simulator.kubelet_config import KubeletConfig
from numa_trio.simulator.record import Notes, Observer, Record
from numa_trio.simulator.sysfs_tree import write_sysfs
from numa_trio.simulator.wiring_tree import write_host
from numa_trio.workloads.pod import Pod

WAIT_LIMIT = 60.0  # seconds that any one thing may take; only a busy machine needs several

AGENT_LOG = "agent.log"
SOCKET_DIR = "sockets"
_POD_RESOURCES = "pod-resources.sock"
_SYSFS = "sys"
_HOST = "host"

_INTERVAL = "1"  # seconds between two questions of the agent to the pod-resources API
_STARTING = 11.0  # so long the agent does not trust a kubelet that has just started


class TookTooLong(Exception):
    """Something did not happen within the limit."""


@contextmanager
def limited(what: str) -> Iterator[None]:
    """Raise `TookTooLong` if it takes longer than anything may: `what` was not so by then."""
    with trio.move_on_after(WAIT_LIMIT) as limit:
        yield
    if limit.cancelled_caught:
        raise TookTooLong(f"{what} within {WAIT_LIMIT:g} s")


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


@define(eq=False)
class Trial:
    """A kubelet, the agent if one runs, and the `ideal` of both. Its files are in a `directory`.

    `agent` is the agent's process. `prefix` is that of problems from now on.
    """

    setup: Setup
    directory: Path
    kubelet: KubeletStandIn
    ideal: IdealCluster
    observer: Observer
    _notes: Notes
    agent: int | None = None
    prefix: str = ""
    _diverged: bool = False

    @asynccontextmanager
    async def run_agent(self, log: str = AGENT_LOG, **variables: str) -> AsyncIterator[None]:
        """The agent, as long as the context lasts, with these variables besides the setup's.

        Its log is the file `log` of the directory. It is a problem if it leaves sockets behind.
        Raises `AgentFailed`.
        """
        sockets = self.kubelet.directory
        environment = {
            **self.setup.variables,
            "NUMA_SOCKET_DIR": str(sockets),
            **_roots(self.setup, self.directory),
            "NUMA_POD_RESOURCES_SOCKET": str(self._pod_resources),
            "NUMA_POD_RESOURCES_INTERVAL": _INTERVAL,
            **variables,
        }
        async with agent_child(environment, self.directory / log) as self.agent:
            self.tell(f"the agent was started as process {self.agent}")
            for remark in self.setup.remarks:
                self.tell(remark)
            for name, reason in self.ideal.reasons.items():
                self.tell(f"{name} cannot be counted: {reason}")
            yield
            self.observer.waiting("the agent to end")
        self.agent = None
        self.tell("the agent ended after SIGTERM")
        left = sorted(path.name for path in sockets.glob("numa-*.sock"))
        if left:
            self.complain(f"the agent left its sockets behind: {', '.join(left)}")

    def tell(self, what: str) -> None:
        """Note something that happened now."""
        self._notes.tell(what)

    def complain(self, *problems: str) -> None:
        """Note the problems that are new."""
        known = set(self._notes.record.problems)
        new = (each for each in problems if each not in known)
        self._notes.record.problems += (self.prefix + each for each in new)

    async def start_kubelet(self) -> None:
        """Start a kubelet that looks as if it had run for long: the agent asks it at once."""
        await self.kubelet.start()
        if self.setup.offer.counted:
            for socket in (self.kubelet.socket_path, self._pod_resources):
                _make_older(socket)

    async def create(self, pod: Pod) -> Verdict:
        """Have a pod scheduled and admitted, and the agent look at what it got."""
        self.observer.waiting(f"kubelet to admit {pod.name}")
        planned = await self.ideal.admit(pod)
        verdict = scheduler_verdict(self.kubelet.node, pod) or await self._admit(pod)
        self.complain(*differences(planned, verdict))
        node, resources = self.kubelet.node, self.ideal.resources
        aligns = node.config.aligns
        self.complain(*broken_promises(node.machine, resources, verdict, aligns=aligns))
        if planned.admitted is not verdict.admitted:
            self.diverged()
        await self.settle()
        return verdict

    def remove(self, pod: Pod) -> None:
        """Delete a pod."""
        self.kubelet.remove(pod)
        self.ideal.remove(pod)

    def diverged(self) -> None:
        """A pod was treated otherwise than it should be."""
        self._diverged = True

    async def settle(self) -> None:
        """Wait until what is allocatable follows from what pods have.

        Not once it has diverged: there is no telling then.
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
            _make_older(self._pod_resources)

    @property
    def _pod_resources(self) -> Path:
        return self.directory / _POD_RESOURCES

    async def _admit(self, pod: Pod) -> Verdict:
        with trio.move_on_after(WAIT_LIMIT):
            return await self.kubelet.admit(pod)
        raise TookTooLong(
            f"{pod.name} was not admitted within {WAIT_LIMIT:g} s:"
            " the agent did not answer Allocate"
        )


@asynccontextmanager
async def open_server(
    setup: Setup, directory: Path, observer: Observer, record: Record, *, on_disk: bool = False
) -> AsyncIterator[Trial]:
    """A kubelet that is not started yet, and no agent; what happens is noted in the `record`.

    Sockets are in `SOCKET_DIR` of the `directory`, the agent's log is in `AGENT_LOG`. With
    `on_disk` kubelet reads from files there, whenever it starts, which CPUs and memory are whose.
    """
    notes = Notes(record, observer)
    ideal = IdealCluster.create(setup.machine, setup.config, setup.offer)
    if setup.sysfs_root is None:
        write_sysfs(directory / _SYSFS, setup.machine)
        write_host(directory / _HOST, directory / _SYSFS, setup.machine.wiring)
    async with (
        open_bridge(),
        open_kubelet(
            directory / SOCKET_DIR,
            setup.machine,
            setup.config,
            admit_again=setup.admit_again,
            on_event=notes.on_event,
            pod_resources=directory / _POD_RESOURCES if setup.offer.counted else None,
            state=directory if on_disk else None,
        ) as kubelet,
    ):
        yield Trial(setup, directory, kubelet, ideal, observer, notes)


@asynccontextmanager
async def open_trial(
    setup: Setup, directory: Path, observer: Observer, record: Record
) -> AsyncIterator[Trial]:
    """A server as `open_server` has it, with kubelet and the agent at work; ends both.

    Raises `AgentFailed` and `TookTooLong`.
    """
    async with open_server(setup, directory, observer, record) as trial:
        await trial.start_kubelet()
        async with trial.run_agent():
            await trial.wait_for_resources("the agent to register its resources")
            yield trial


def _make_older(socket: Path) -> None:
    """Let it look as if kubelet had not just started: the agent does not ask one that has."""
    then = socket.stat().st_mtime - _STARTING
    os.utime(socket, (then, then))


def _roots(setup: Setup, directory: Path) -> dict[str, str]:
    """Where the agent finds the machine."""
    if setup.sysfs_root is not None:
        return {"NUMA_SYSFS_ROOT": str(setup.sysfs_root)}
    return {"NUMA_SYSFS_ROOT": str(directory / _SYSFS), "NUMA_HOST_ROOT": str(directory / _HOST)}
