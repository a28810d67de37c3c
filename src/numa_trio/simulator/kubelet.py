"""A kubelet stand-in: the device plugin side of kubelet 1.36, on real Unix sockets.

It does what was observed of a real one, in the same order, and lives and dies at command:

    async with open_bridge(), open_kubelet(directory, machine) as kubelet:
        await kubelet.start()
        await kubelet.wait_allocatable("numa-align/numa-0", 100)
        verdict = await kubelet.admit(pod)
        await kubelet.stop()
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from attrs import define, field

from numa_trio.kubelet.directory import KUBELET_SOCKET
from numa_trio.simulator.admission import Verdict, admit
from numa_trio.simulator.cpus import SimulatedMachine
from numa_trio.simulator.device_directory import remembered_devices, sockets_in
from numa_trio.simulator.events import Event, EventKind, EventLog
from numa_trio.simulator.kubelet_config import KubeletConfig
from numa_trio.simulator.kubelet_life import Life
from numa_trio.simulator.manager_state import restore_managers, write_managers
from numa_trio.simulator.node import Node, Placement
from numa_trio.workloads.pod import Pod

WIPE_TO_LISTEN = 0.02  # seconds from deleting the sockets to the new kubelet.sock
SERVE_AGAIN = 1.0  # seconds from the end of the server to its new socket, where serving failed
ADMIT_AGAIN = 2.0  # seconds from kubelet.sock to the admission of known pods; 2.4 were seen

_DEFAULTS = KubeletConfig()


class KubeletIsDown(Exception):
    """Only a running kubelet can do that."""


@define(eq=False)
class KubeletStandIn:
    """Kubelet on one directory. `node` and its pods outlive it; `log` has all that happened.

    `admit_again` is how many seconds after its socket is there it admits again the pods that are
    there already, whether they run or a reboot has ended them.
    """

    directory: Path
    node: Node
    log: EventLog
    disconnect_trap: bool
    admit_again: float
    _nursery: trio.Nursery
    pod_resources: Path | None = None
    state: Path | None = None
    _life: Life | None = None
    _admission: trio.Lock = field(factory=trio.Lock)

    @property
    def socket_path(self) -> Path:
        """Where plugins register."""
        return self.directory / KUBELET_SOCKET

    @property
    def running(self) -> bool:
        """Whether it has been started, and not stopped since."""
        return self._life is not None

    async def start(self, *, wipe: bool = True) -> None:
        """Start it: delete every socket in the directory, then listen on a new kubelet.sock.

        Without `wipe` the plugins' sockets stay. Raises `KubeletWillNotStart` if a state file of
        the CPU or the Memory Manager does not suit the machine.
        """
        if self.running:
            raise RuntimeError("this kubelet runs already")
        if self.state is not None:
            restore_managers(self.state, self.node)
            self._keep()
        self.directory.mkdir(mode=0o750, parents=True, exist_ok=True)
        self.node.devices, problem = remembered_devices(self.directory, self.node)
        if problem is not None:
            self.log.record(EventKind.BAD_CHECKPOINT, detail=str(problem))
        for path in sockets_in(self.directory, last=KUBELET_SOCKET):
            if wipe or path == self.socket_path:
                path.unlink(missing_ok=True)
                self.log.record(EventKind.WIPED, path.name)
        await trio.sleep(WIPE_TO_LISTEN)
        life = Life(
            self.directory,
            self.node,
            self.log,
            self._admission,
            self._keep,
            disconnect_trap=self.disconnect_trap,
            admit_again=self.admit_again,
            pod_resources=self.pod_resources,
        )
        await self._nursery.start(life.run)
        self._life = life

    async def stop(self) -> None:
        """End it as SIGTERM and SIGKILL do: streams end at once, kubelet.sock stays behind."""
        life = self._life_of_now()
        self._life = None
        life.scope.cancel()
        await life.over.wait()
        self.log.record(EventKind.STOPPED)

    async def reboot(self) -> None:
        """Go down with the machine: kubelet ends if it runs, and all containers; files stay.

        When it is started, it admits the pods anew: with the devices that the checkpoint has for
        them, if their plugin offers these by then. Who is refused has failed for good.
        """
        if self.running:
            await self.stop()
        self.node.reboot()

    async def recreate_socket(self, pause: float = SERVE_AGAIN) -> None:
        """Lose the server and serve again on a new kubelet.sock; plugins stay connected."""
        await self._life_of_now().serve_again(pause)

    async def admit(self, pod: Pod) -> Verdict:
        """Place a pod and start its containers, or reject it; one pod at a time.

        The pods that were there before kubelet's start come first. Raises `KubeletIsDown`.
        """
        await self._life_of_now().knows_pods.wait()
        async with self._admission:
            life = self._life_of_now()
            verdict = await admit(self.node, pod, life.connections)
            if self._life is not life:
                self.node.release(pod)
                raise KubeletIsDown(f"kubelet stopped while it admitted {pod.name}")
            if verdict.admitted:
                self.log.record(EventKind.ADMITTED, pod.name)
                await life.connections.start_containers(verdict)
                self.node.started(pod)
                self._keep()
            else:
                self.log.record(EventKind.REJECTED, pod.name, verdict.message or "")
            return verdict

    async def admitted_again(self) -> Sequence[Verdict]:
        """What became of the pods that were there when kubelet started, once it has looked at them.

        A pod that it refused is killed if it ran, and never started else: its devices, CPUs and
        memory are free. Raises `KubeletIsDown`.
        """
        life = self._life_of_now()
        await life.knows_pods.wait()
        if self._life is not life:
            raise KubeletIsDown("kubelet stopped before it had admitted the pods again")
        return tuple(life.again)

    def remove(self, pod: Pod) -> None:
        """Delete a pod, whose devices, CPUs and memory are free then."""
        self.node.release(pod)
        self._keep()

    def placements(self, pod: Pod) -> tuple[Placement, ...]:
        """Where the containers of an admitted pod are now: the shared pool may have changed."""
        return tuple(self.node.placement(pod, container) for container in pod.containers)

    def allocatable(self, resource: str) -> int:
        """What the node shows as allocatable; while kubelet is down, what it showed last."""
        return self.node.devices.allocatable(resource)

    def capacity(self, resource: str) -> int:
        """What the node shows as capacity; while kubelet is down, what it showed last."""
        return self.node.devices.capacity(resource)

    async def wait_until(self, holds: Callable[[], bool]) -> None:
        """Return as soon as this holds; it is looked at now and after every event."""
        await self.log.wait_until(holds)

    async def wait_allocatable(self, resource: str, count: int) -> None:
        """Return as soon as so many devices are allocatable."""
        await self.wait_until(lambda: self.allocatable(resource) == count)

    def _keep(self) -> None:
        if self.state is None:
            return
        try:
            write_managers(self.state, self.node)
        except OSError as problem:  # kubelet goes on, too
            self.log.record(EventKind.NO_STATE, detail=str(problem))

    def _life_of_now(self) -> Life:
        if self._life is None:
            raise KubeletIsDown("kubelet has not been started, or was stopped")
        return self._life


@asynccontextmanager
async def open_kubelet(
    directory: Path,
    machine: SimulatedMachine,
    config: KubeletConfig = _DEFAULTS,
    *,
    disconnect_trap: bool = True,
    admit_again: float = ADMIT_AGAIN,
    on_event: Callable[[Event], None] | None = None,
    pod_resources: Path | None = None,
    pods: Sequence[Pod] = (),
    containers_run: bool = True,
    state: Path | None = None,
) -> AsyncIterator[KubeletStandIn]:
    """A kubelet that is not started yet, and stopped at the end; needs the bridge to be open.

    With `disconnect_trap` and `admit_again` as `PluginConnections` and `KubeletStandIn` have them.
    `pod_resources` is where it serves that API, on a new socket in each life; None: nowhere.

    `pods` are those that the API server has for this node when kubelet first starts, in the order
    of their creation, without those that have ended or were refused. They are admitted again, with
    the devices that the checkpoint in the directory has for their uid, as after a restart of
    kubelet; or if no `containers_run`, as after a reboot.

    `state` is the directory of `cpu_manager_state` and `memory_manager_state`, which is there
    already (kubelet's root directory); None: what is whose is known to this object only.

    Raises `KubeletWillNotStart` if a real one would not run on this machine.
    """
    node = Node.create(machine, config)
    node.pods.update({pod.uid: pod for pod in pods})
    if not containers_run:
        node.reboot()
    async with trio.open_nursery() as nursery:
        yield KubeletStandIn(
            directory,
            node,
            EventLog(on_event),
            disconnect_trap,
            admit_again,
            nursery,
            pod_resources,
            state,
        )
        nursery.cancel_scope.cancel()
