"""The kubelet stand-in does what a real kubelet 1.36 does, on real sockets."""

import base64
import json
import socket
import stat
import zlib
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st
from trio.testing import MockClock, wait_all_tasks_blocked

from numa_trio.kubelet.errors import KubeletUnavailable, RegistrationRefused
from numa_trio.kubelet.rpc.loop import open_bridge
from numa_trio.plugin.messages import ContainerAllocation, PluginOptions
from numa_trio.plugin.resource import NumaResource
from numa_trio.simulator.checkpoint import (
    CHECKPOINT,
    BadCheckpoint,
    restore_checkpoint,
    write_checkpoint,
)
from numa_trio.simulator.devices import Allocation, DeviceManager, Holder
from numa_trio.simulator.events import EventKind
from numa_trio.simulator.kubelet import (
    WIPE_TO_LISTEN,
    KubeletIsDown,
    KubeletStandIn,
    open_kubelet,
)
from numa_trio.simulator.plugin_connections import DIAL_LIMIT, STOP_GRACE
from numa_trio.workloads.pod import Container, ContainerKind
from plugin_double import PluginDouble, open_plugin
from simulated import container, init, machine, pod, sidecar

PATIENCE = 20.0  # seconds; only a slow machine ever needs more than one

SMALL = machine([0, 1], [2, 3])
NUMA_1 = "numa-align/numa-1"


@asynccontextmanager
async def started(
    directory: Path,
    *,
    disconnect_trap: bool = True,
    admit_again: float = 0.1,
    patience: float = PATIENCE,
) -> AsyncIterator[KubeletStandIn]:
    """A running kubelet; nothing in the block may take long."""
    async with (
        open_bridge(),
        open_kubelet(
            directory, SMALL, disconnect_trap=disconnect_trap, admit_again=admit_again
        ) as kubelet,
    ):
        with trio.fail_after(patience):
            await kubelet.start()
            yield kubelet


@pytest.fixture
async def kubelet(tmp_path: Path) -> AsyncIterator[KubeletStandIn]:
    async with started(tmp_path / "sockets") as running:
        yield running


@pytest.fixture
async def plugin(kubelet: KubeletStandIn) -> AsyncIterator[PluginDouble]:
    """A plugin with numa-1, registered and listed."""
    async with open_plugin(kubelet.directory, 1) as double:
        await double.serve()
        await double.register()
        await kubelet.wait_allocatable(NUMA_1, 4)
        yield double


def happened(kubelet: KubeletStandIn, *kinds: EventKind) -> list[tuple[EventKind, str]]:
    return [(event.kind, event.subject) for event in kubelet.log.events if event.kind in kinds]


# --- start, stop, restart


async def test_directory_is_created(tmp_path: Path) -> None:
    """The directory may not exist before kubelet has started."""
    async with started(tmp_path / "kubelet/device-plugins") as kubelet:
        assert stat.S_ISSOCK(kubelet.socket_path.stat().st_mode)
        assert stat.S_IMODE(kubelet.directory.stat().st_mode) == 0o750


async def test_start_deletes_sockets_only(tmp_path: Path) -> None:
    """Every socket goes, whoever listens on it; other files stay."""
    (tmp_path / "notes").touch()
    (tmp_path / "folder").mkdir()
    with socket.socket(socket.AF_UNIX) as live:
        live.bind(str(tmp_path / "numa-0.sock"))
        live.listen()
        async with started(tmp_path) as kubelet:
            names = {path.name for path in tmp_path.iterdir()}

    assert names == {"notes", "folder", "kubelet.sock"}
    assert happened(kubelet, EventKind.WIPED) == [(EventKind.WIPED, "numa-0.sock")]


async def test_listens_some_time_after_the_wipe(tmp_path: Path) -> None:
    """Between the wipe and the new kubelet.sock some 20 ms go by."""
    async with started(tmp_path) as kubelet:
        await kubelet.stop()
        await kubelet.start()

    wiped, listening = (
        event.seconds
        for event in kubelet.log.events[-2:]
        if event.kind in {EventKind.WIPED, EventKind.LISTENING}
    )
    assert listening - wiped >= WIPE_TO_LISTEN


async def test_stop_leaves_a_dead_socket(kubelet: KubeletStandIn, plugin: PluginDouble) -> None:
    """After its end kubelet.sock is still there, and connecting to it is refused."""
    await kubelet.stop()

    assert stat.S_ISSOCK(kubelet.socket_path.stat().st_mode)
    with socket.socket(socket.AF_UNIX) as probe, pytest.raises(ConnectionRefusedError):
        probe.connect(str(kubelet.socket_path))
    with pytest.raises(KubeletUnavailable):
        await plugin.register()


async def test_stop_ends_streams_at_once(kubelet: KubeletStandIn, plugin: PluginDouble) -> None:
    """The end of its stream is the first that a plugin sees of kubelet's end."""
    await plugin.wait_streams(1)
    await kubelet.stop()

    await plugin.wait_streams(0)


async def test_start_deletes_the_sockets_of_living_plugins(
    kubelet: KubeletStandIn, plugin: PluginDouble
) -> None:
    """A plugin's socket has no name any more after a restart, though the plugin lives."""
    await kubelet.stop()
    await kubelet.start()

    assert not (kubelet.directory / plugin.endpoint).exists()
    assert kubelet.allocatable(NUMA_1) == 0


async def test_start_without_wipe(kubelet: KubeletStandIn, plugin: PluginDouble) -> None:
    """As an option the plugins' sockets stay, and kubelet.sock is new."""
    before = kubelet.socket_path.stat()
    await kubelet.stop()
    await kubelet.start(wipe=False)
    await plugin.register()

    await kubelet.wait_allocatable(NUMA_1, 4)
    after = kubelet.socket_path.stat()
    assert (before.st_ino, before.st_mtime_ns) != (after.st_ino, after.st_mtime_ns)


async def test_socket_recreated_in_the_middle_of_a_life(
    kubelet: KubeletStandIn, plugin: PluginDouble
) -> None:
    """When serving fails there is a new kubelet.sock; sockets and streams of plugins stay."""
    before = kubelet.socket_path.stat().st_mtime_ns

    await kubelet.recreate_socket(pause=0)

    assert kubelet.socket_path.stat().st_mtime_ns != before
    assert (plugin.streams, kubelet.allocatable(NUMA_1)) == (1, 4)
    await plugin.register()


async def test_node_shows_the_last_state_while_kubelet_is_down(
    kubelet: KubeletStandIn, plugin: PluginDouble
) -> None:
    """Allocatable becomes 0 not when kubelet ends, but when it runs again without the plugin."""
    await kubelet.stop()
    await plugin.wait_streams(0)
    assert (kubelet.allocatable(NUMA_1), kubelet.capacity(NUMA_1)) == (4, 4)

    await kubelet.start()
    assert (kubelet.allocatable(NUMA_1), kubelet.capacity(NUMA_1)) == (0, 0)


async def test_start_and_stop_out_of_turn(kubelet: KubeletStandIn) -> None:
    """Kubelet starts once and stops once, and admits nothing while it is down."""
    with pytest.raises(RuntimeError):
        await kubelet.start()
    await kubelet.stop()
    for call in (kubelet.stop, kubelet.recreate_socket):
        with pytest.raises(KubeletIsDown):
            await call()
    with pytest.raises(KubeletIsDown):
        await kubelet.admit(pod(container()))


async def test_stop_while_a_plugin_registers(kubelet: KubeletStandIn) -> None:
    """A plugin that is being called back when kubelet ends is left without an answer."""

    async def register() -> None:
        with pytest.raises(KubeletUnavailable):
            await plugin.register()

    async with open_plugin(kubelet.directory, 1) as plugin, trio.open_nursery() as nursery:
        nursery.start_soon(register)
        await kubelet.wait_until(lambda: bool(happened(kubelet, EventKind.REGISTER)))
        await kubelet.stop()


async def test_stop_in_the_middle_of_an_admission(
    kubelet: KubeletStandIn, plugin: PluginDouble
) -> None:
    """A pod that kubelet did not finish to admit is not on the node."""

    class Stopping(NumaResource):
        def allocate(self, requests: Sequence[Sequence[str]]) -> list[ContainerAllocation]:
            plugin.nursery.start_soon(kubelet.stop)
            return super().allocate(requests)

    plugin.plugin.resource = Stopping("numa-1", (1,), 4)

    with pytest.raises(KubeletIsDown, match="while it admitted pod"):
        await kubelet.admit(pod(container(numa=[1])))

    assert kubelet.node.pods == kubelet.node.devices.allocations == {}


async def test_twenty_restarts(kubelet: KubeletStandIn, plugin: PluginDouble) -> None:
    """However often kubelet restarts, nothing of its former lives is left open."""
    open_files = Path("/proc/self/fd")
    counts = set()
    for _ in range(20):
        await kubelet.stop()
        await kubelet.start()
        await plugin.die()
        await plugin.serve()
        await plugin.register()
        await kubelet.wait_allocatable(NUMA_1, 4)
        await plugin.wait_streams(1)
        counts.add(len(list(open_files.iterdir())))

    assert len(counts) <= 2, "a closed connection may be noticed a moment later, no more"


# --- Register


async def test_calls_back_before_it_answers(kubelet: KubeletStandIn, plugin: PluginDouble) -> None:
    """Kubelet asks for the options before it answers Register, and then opens the stream."""
    calls = [kind for kind, _ in happened(kubelet, *EventKind)]

    assert calls[1:4] == [EventKind.REGISTER, EventKind.OPTIONS, EventKind.WATCHING] or calls[
        1:4
    ] == [EventKind.REGISTER, EventKind.OPTIONS, EventKind.REGISTERED]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"version": "v1alpha"}, 'API version "v1alpha" is not supported by kubelet. Supported'),
        ({"resource_name": "numa-1"}, 'the ResourceName "numa-1" is invalid'),
        ({"resource_name": "kubernetes.io/numa-1"}, "is invalid"),
        ({"resource_name": "requests.a/numa-1"}, "is invalid"),
        ({"resource_name": f"a/{'x' * 64}"}, "is invalid"),
        ({"resource_name": "A/numa"}, "is invalid"),
        ({"resource_name": "a/"}, "is invalid"),
    ],
)
async def test_refuses(kubelet: KubeletStandIn, changes: dict[str, str], message: str) -> None:
    """Version and name are checked first, before anybody is called back."""
    async with open_plugin(kubelet.directory, 1) as plugin:
        with pytest.raises(RegistrationRefused, match=message):
            await plugin.register(**changes)

    assert happened(kubelet, EventKind.OPTIONS) == []


@pytest.fixture
def clock(mock_clock: MockClock) -> MockClock:
    """A clock that runs, and can be made to jump."""
    mock_clock.rate = 1.0
    return mock_clock


async def test_refuses_a_plugin_that_it_cannot_call(clock: MockClock, tmp_path: Path) -> None:
    """A plugin that does not serve is dialled for 10 s, then refused."""

    async def time_passes() -> None:
        await kubelet.wait_until(lambda: bool(happened(kubelet, EventKind.REGISTER)))
        await wait_all_tasks_blocked()
        clock.jump(DIAL_LIMIT)

    async with (
        started(tmp_path, patience=PATIENCE + DIAL_LIMIT) as kubelet,
        open_plugin(tmp_path, 1) as plugin,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(time_passes)
        with pytest.raises(RegistrationRefused, match="failed to dial device plugin"):
            await plugin.register()


async def test_waits_for_a_plugin_that_serves_late(clock: MockClock, tmp_path: Path) -> None:
    """A plugin that serves within the 10 s is accepted after all."""

    async def serve_late() -> None:
        await kubelet.wait_until(lambda: bool(happened(kubelet, EventKind.REGISTER)))
        await plugin.serve()
        clock.jump(DIAL_LIMIT / 2)

    async with (
        started(tmp_path, patience=PATIENCE + DIAL_LIMIT) as kubelet,
        open_plugin(tmp_path, 1) as plugin,
        trio.open_nursery() as nursery,
    ):
        nursery.start_soon(serve_late)
        await plugin.register()
        await kubelet.wait_allocatable(NUMA_1, 4)


async def test_each_message_replaces_the_list(
    kubelet: KubeletStandIn, plugin: PluginDouble
) -> None:
    """Slots that become unhealthy stay capacity; those that are gone are gone."""
    plugin.plugin.resource = plugin.plugin.resource.with_health(False)
    plugin.server.update(plugin.plugin)
    await kubelet.wait_allocatable(NUMA_1, 0)
    assert kubelet.capacity(NUMA_1) == 4

    plugin.plugin.resource = NumaResource.of_node(1, 2)
    plugin.server.update(plugin.plugin)
    await kubelet.wait_allocatable(NUMA_1, 2)
    assert kubelet.capacity(NUMA_1) == 2


async def test_plugin_that_ends(clock: MockClock, tmp_path: Path) -> None:
    """Allocatable is 0 at once; capacity stays for 5 minutes."""
    async with (
        started(tmp_path, patience=PATIENCE + 2 * STOP_GRACE) as kubelet,
        open_plugin(tmp_path, 1) as plugin,
    ):
        await plugin.serve()
        await plugin.register()
        await kubelet.wait_allocatable(NUMA_1, 4)

        await plugin.die()
        await kubelet.wait_allocatable(NUMA_1, 0)
        clock.jump(STOP_GRACE - 10)
        await wait_all_tasks_blocked()
        assert kubelet.capacity(NUMA_1) == 4

        clock.jump(11)
        with trio.fail_after(PATIENCE):
            await kubelet.wait_until(lambda: kubelet.capacity(NUMA_1) == 0)
        assert kubelet.allocatable(NUMA_1) == 0


async def test_plugin_that_comes_back_is_not_forgotten(clock: MockClock, tmp_path: Path) -> None:
    """Whoever registers again within the 5 minutes keeps its capacity."""
    async with (
        started(tmp_path, patience=PATIENCE + 2 * STOP_GRACE) as kubelet,
        open_plugin(tmp_path, 1) as plugin,
    ):
        for _ in range(2):
            await plugin.serve()
            await plugin.register()
            await kubelet.wait_allocatable(NUMA_1, 4)
            if plugin.streams:
                await plugin.die()
                await kubelet.wait_allocatable(NUMA_1, 0)
        await plugin.serve()
        await plugin.register()
        await kubelet.wait_allocatable(NUMA_1, 4)

        clock.jump(STOP_GRACE + 1)
        await wait_all_tasks_blocked()

        assert happened(kubelet, EventKind.FORGOTTEN) == []
        assert kubelet.capacity(NUMA_1) == 4


async def test_never_dials_again_by_itself(kubelet: KubeletStandIn, plugin: PluginDouble) -> None:
    """A plugin that serves again without registering is not noticed."""
    await plugin.die()
    await kubelet.wait_allocatable(NUMA_1, 0)

    await plugin.serve()
    await wait_all_tasks_blocked(0.05)

    assert (plugin.streams, kubelet.allocatable(NUMA_1)) == (0, 0)


@pytest.mark.parametrize("trap", [True, False])
async def test_registering_again_leaves_the_old_stream_open(tmp_path: Path, trap: bool) -> None:
    """The old client of a resource is replaced, but not closed."""
    async with (
        started(tmp_path, disconnect_trap=trap) as kubelet,
        open_plugin(tmp_path, 1) as plugin,
    ):
        await plugin.serve()
        for old_streams in (0, 1):
            await plugin.register()
            await plugin.wait_streams(1)
            assert plugin.server.other_streams == old_streams
        assert kubelet.allocatable(NUMA_1) == 4


@pytest.mark.parametrize("trap", [True, False])
async def test_rolling_update(tmp_path: Path, trap: bool) -> None:
    """When the old plugin exits, kubelet 1.36 cuts off the new one; later ones do not."""
    async with (
        started(tmp_path, disconnect_trap=trap) as kubelet,
        open_plugin(tmp_path, 1) as old,
        open_plugin(tmp_path, 1, endpoint="numa-1-new.sock") as new,
    ):
        for plugin in (old, new):
            await plugin.serve()
            await plugin.register()
            await plugin.wait_streams(1)

        await old.die()
        await kubelet.wait_until(lambda: bool(happened(kubelet, EventKind.STREAM_ENDED)))
        if trap:
            await new.wait_streams(0)
        await wait_all_tasks_blocked(0.05)

        assert new.streams == (0 if trap else 1)
        assert kubelet.allocatable(NUMA_1) == (0 if trap else 4)

        if trap:  # the cure
            await new.register()
            await kubelet.wait_allocatable(NUMA_1, 4)


@pytest.mark.parametrize("trap", [True, False])
async def test_refused_registration_of_a_plugin_that_lives(
    clock: MockClock, tmp_path: Path, trap: bool
) -> None:
    """Kubelet 1.36 then loses track of the plugin's end, too: its devices stay allocatable."""

    async def time_passes() -> None:
        await kubelet.wait_until(lambda: len(happened(kubelet, EventKind.REGISTER)) == 2)
        await wait_all_tasks_blocked()
        clock.jump(DIAL_LIMIT)

    async with (
        started(tmp_path, disconnect_trap=trap, patience=PATIENCE + DIAL_LIMIT) as kubelet,
        open_plugin(tmp_path, 1) as plugin,
    ):
        await plugin.serve()
        await plugin.register()
        await kubelet.wait_allocatable(NUMA_1, 4)
        plugin.nursery.start_soon(time_passes)
        with pytest.raises(RegistrationRefused):
            await plugin.register(endpoint="nobody.sock")

        await plugin.die()
        await kubelet.wait_until(lambda: bool(happened(kubelet, EventKind.STREAM_ENDED)))
        await wait_all_tasks_blocked(0.05)

        assert kubelet.allocatable(NUMA_1) == (4 if trap else 0)


async def test_cut_off_while_it_is_called_back(
    kubelet: KubeletStandIn, plugin: PluginDouble
) -> None:
    """In the trap, a plugin that kubelet is just calling back is refused."""

    async def old_plugin_ends() -> None:
        await kubelet.wait_until(lambda: len(happened(kubelet, EventKind.REGISTER)) == 2)
        await wait_all_tasks_blocked()
        await plugin.die()

    with socket.socket(socket.AF_UNIX) as silent:
        silent.bind(str(kubelet.directory / "silent.sock"))
        silent.listen()
        plugin.nursery.start_soon(old_plugin_ends)
        with pytest.raises(RegistrationRefused, match="code = Canceled desc = grpc: the client"):
            await plugin.register(endpoint="silent.sock")

    assert kubelet.allocatable(NUMA_1) == 0


# --- pods


async def test_allocates_once_a_container(kubelet: KubeletStandIn, plugin: PluginDouble) -> None:
    """Each container is one call with one request; the app reuses the init container's device."""
    verdict = await kubelet.admit(pod(init(numa=[1]), container(numa=[1])))

    assert plugin.plugin.calls == [("Allocate", [["numa-1-0"]])] * 2
    assert [placement.environment for placement in verdict.placements] == [{"NUMA_NODE": "1"}] * 2
    assert [set(placement.cpus) for placement in kubelet.placements(verdict.pod)] == [{2}, {2}]


async def test_pod_before_the_plugin(kubelet: KubeletStandIn, plugin: PluginDouble) -> None:
    """After a start, pods that come before the plugin fail with UnexpectedAdmissionError."""
    await kubelet.stop()
    await kubelet.start()

    verdict = await kubelet.admit(pod(container(numa=[1])))

    assert verdict.reason == "UnexpectedAdmissionError"
    assert "no healthy devices present" in (verdict.message or "")


async def test_running_containers_survive_a_restart(
    kubelet: KubeletStandIn, plugin: PluginDouble
) -> None:
    """A pod keeps its devices, CPUs and environment; nobody else gets them afterwards."""
    first = pod(container(numa=[1]), name="first")
    placements = (await kubelet.admit(first)).placements
    await plugin.die()
    await kubelet.stop()
    await kubelet.start()
    assert kubelet.placements(first) == placements

    await plugin.serve()
    await plugin.register()
    await kubelet.wait_allocatable(NUMA_1, 4)
    second = await kubelet.admit(pod(container(numa=[1]), name="second"))

    assert second.placements[0].devices == {NUMA_1: ("numa-1-1",)}
    assert second.placements[0].cpus == {3}


HELD = [container(numa=[1])]
INITIALISED = [init(numa=[1]), container(numa=[1])]


@pytest.mark.parametrize(
    ("containers", "seconds", "survives"),
    [
        (HELD, 3, True),  # "Container detected running, nothing to do"
        (INITIALISED, 1, True),
        (INITIALISED, 3, False),
        ([sidecar("1"), *HELD], 3, True),
        ([sidecar("1", numa=[1]), container("app", "500m")], 3, True),
        ([init("500m"), *HELD], 3, True),
    ],
    ids=[
        "no init container",
        "in time",
        "too late",
        "sidecar",
        "sidecar asks",
        "init does not ask",
    ],
)
async def test_running_pods_are_admitted_again(
    tmp_path: Path,
    autojump_clock: MockClock,
    containers: list[Container],
    seconds: float,
    survives: bool,
) -> None:
    """Two seconds after its socket is there kubelet looks at the pods that run.

    It kills one of which an ended init container asked for the resource, unless the plugin is back.
    """
    running = pod(*containers, name="running")
    async with (
        started(tmp_path / "sockets", admit_again=2, patience=600) as kubelet,
        open_plugin(kubelet.directory, 1) as plugin,
    ):
        await plugin.serve()
        await plugin.register()
        await kubelet.wait_allocatable(NUMA_1, 4)
        assert (await kubelet.admit(running)).admitted
        await plugin.die()
        await kubelet.stop()
        await kubelet.start()

        await trio.sleep(seconds)
        await plugin.serve()
        await plugin.register()
        (verdict,) = await kubelet.admitted_again()

        assert verdict.admitted == survives
        if not survives:
            assert (verdict.reason, verdict.message) == (
                "UnexpectedAdmissionError",
                (
                    "Pod was rejected: Allocate failed due to no healthy devices present;"
                    " cannot allocate unhealthy devices numa-align/numa-1, which is unexpected"
                ),
            )
        kinds = EventKind.ADMITTED_AGAIN, EventKind.KILLED
        assert happened(kubelet, *kinds) == [(kinds[not survives], "running")]
        assert list(kubelet.node.pods) == [running.uid] * survives
        assert bool(kubelet.node.devices.allocations) == survives


async def test_pods_run_on_while_kubelet_is_down(tmp_path: Path, autojump_clock: MockClock) -> None:
    """Kubelet that stops before it has looked at the pods leaves them to the next one."""
    running = pod(container(), name="running")
    async with started(tmp_path / "sockets", admit_again=2, patience=600) as kubelet:
        await kubelet.admit(running)
        await kubelet.stop()
        await kubelet.start()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_is_never_known, kubelet)
            await trio.sleep(1)
            await kubelet.stop()
        await kubelet.start()

        (verdict,) = await kubelet.admitted_again()

        assert (verdict.pod, verdict.admitted) == (running, True)
        assert happened(kubelet, EventKind.ADMITTED_AGAIN) == [
            (EventKind.ADMITTED_AGAIN, "running")
        ]


async def _is_never_known(kubelet: KubeletStandIn) -> None:
    with pytest.raises(KubeletIsDown):
        await kubelet.admitted_again()


async def test_new_pods_come_after_those_that_run(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """A pod that is created after the restart is looked at last."""
    async with started(tmp_path / "sockets", admit_again=2, patience=600) as kubelet:
        await kubelet.admit(pod(container(), name="old"))
        await kubelet.stop()
        await kubelet.start()

        await kubelet.admit(pod(container(cpu="500m"), name="new"))

        kinds = EventKind.ADMITTED_AGAIN, EventKind.ADMITTED
        assert happened(kubelet, *kinds)[-2:] == [(kinds[0], "old"), (kinds[1], "new")]


async def test_memory_of_ended_init_containers_is_free_again(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """Once a pod's apps run, others get the memory that only its init container asked for."""
    async with started(tmp_path / "sockets") as kubelet:
        first = container("init", "500m", memory="3Gi", kind=ContainerKind.INIT)
        pods = [
            pod(first, container("app", "500m"), name="first"),
            pod(container("app", "500m", memory="3480Mi"), name="second"),
            pod(container("app", "500m", memory="520Mi"), name="third"),
        ]

        verdicts = [await kubelet.admit(each) for each in pods]

        assert [verdict.message for verdict in verdicts] == [None, None, None]
        assert [v.placements[-1].memory_nodes for v in verdicts] == [{0}, {1}, {0}]


async def test_pods_deleted_meanwhile_give_their_devices_back(
    kubelet: KubeletStandIn, plugin: PluginDouble
) -> None:
    """A pod that is gone by the time of the restart owns nothing after it."""
    gone = pod(container(numa=[1]), name="gone")
    await kubelet.admit(gone)
    kubelet.remove(gone)
    await plugin.die()
    await kubelet.stop()
    await kubelet.start()

    assert kubelet.node.devices.allocations == {}


async def test_error_of_the_plugin(kubelet: KubeletStandIn, plugin: PluginDouble) -> None:
    """A gRPC status becomes kubelet's UnexpectedAdmissionError, in the words of grpc-go."""
    plugin.plugin.resource = NumaResource.of_node(1, 0 + 1)  # knows only slot 0 now, kubelet four
    await kubelet.admit(pod(container(numa=[1]), name="first"))

    verdict = await kubelet.admit(pod(container(numa=[1]), name="second"))

    assert verdict.reason == "UnexpectedAdmissionError"
    assert verdict.message is not None
    assert verdict.message.startswith(
        "Pod was rejected: Allocate failed due to rpc error: code = InvalidArgument desc = "
    )


async def test_empty_answer_is_an_error(kubelet: KubeletStandIn, plugin: PluginDouble) -> None:
    """An answer to Allocate without a container is not taken for success."""
    plugin.plugin.answers_nothing = True

    verdict = await kubelet.admit(pod(container(numa=[1])))

    assert "no containers return in allocation response" in (verdict.message or "")


async def test_optional_calls_only_where_the_options_say_so(kubelet: KubeletStandIn) -> None:
    """GetPreferredAllocation and PreStartContainer are called if the plugin offers them."""
    async with open_plugin(kubelet.directory, 1) as plugin:
        plugin.plugin.options = PluginOptions(
            pre_start_required=True, preferred_allocation_available=True
        )
        await plugin.serve()
        await plugin.register()
        await kubelet.wait_allocatable(NUMA_1, 4)

        await kubelet.admit(pod(container(numa=[1])))

        assert [call for call, _ in plugin.plugin.calls] == [
            "GetPreferredAllocation",
            "Allocate",
            "PreStartContainer",
        ]
        assert plugin.plugin.calls[1:] == [
            ("Allocate", [["numa-1-3"]]),
            ("PreStartContainer", ["numa-1-3"]),
        ]


async def test_container_that_cannot_be_started(kubelet: KubeletStandIn) -> None:
    """A plugin that refuses PreStartContainer keeps the container from starting, not the pod."""
    async with open_plugin(kubelet.directory, 1) as plugin:
        plugin.plugin.options = PluginOptions(pre_start_required=True)
        plugin.plugin.refuses_to_start = True
        await plugin.serve()
        await plugin.register()
        await kubelet.wait_allocatable(NUMA_1, 4)

        assert (await kubelet.admit(pod(container(numa=[1])))).admitted
        assert happened(kubelet, EventKind.NOT_STARTED) == [(EventKind.NOT_STARTED, "pod/app")]


# --- the checkpoint


async def test_checkpoint_in_kubelets_format(kubelet: KubeletStandIn, plugin: PluginDouble) -> None:
    """The file has who has which devices by NUMA node, the answer, and the healthy devices."""
    admitted = pod(container(numa=[1]))
    await kubelet.admit(admitted)

    content = json.loads((kubelet.directory / CHECKPOINT).read_text())

    (entry,) = content["Data"].pop("PodDeviceEntries")
    assert entry == {
        "PodUID": admitted.uid,
        "ContainerName": "app",
        "ResourceName": NUMA_1,
        "DeviceIDs": {"1": ["numa-1-0"]},
        "AllocResp": "Cg4KCU5VTUFfTk9ERRIBMSIUCg9udW1hLWFsaWduL25vZGUSATE=",
    }
    slots = [f"numa-1-{number}" for number in range(4)]
    assert content["Data"] == {"RegisteredDevices": {NUMA_1: slots}}
    assert isinstance(content["Checksum"], int)


@pytest.mark.parametrize(
    "damage",
    [
        *("", "{", "[]", "{}", '{"Data": {}, "Checksum": 1}', '{"Data": 1, "Checksum": null}'),
        '{"Data": {"PodDeviceEntries": null, "RegisteredDevices": {}}, "Checksum": 1}',
    ],
)
async def test_damaged_checkpoint_is_ignored(
    kubelet: KubeletStandIn, plugin: PluginDouble, damage: str
) -> None:
    """A checkpoint that cannot be read is said to be so, and forgotten."""
    await plugin.die()
    await kubelet.stop()
    (kubelet.directory / CHECKPOINT).write_text(damage)

    await kubelet.start()

    assert len(happened(kubelet, EventKind.BAD_CHECKPOINT)) == 1
    assert kubelet.node.devices.resources == ()


async def test_checkpoint_that_cannot_be_written(
    kubelet: KubeletStandIn, plugin: PluginDouble, tmp_path: Path
) -> None:
    """Kubelet goes on without it, but admits no pod whose devices it cannot write down."""
    kubelet.directory.rename(tmp_path / "moved")
    plugin.server.update(plugin.plugin)
    await kubelet.wait_until(lambda: bool(happened(kubelet, EventKind.NO_CHECKPOINT)))

    verdict = await kubelet.admit(pod(container(numa=[1])))

    assert verdict.reason == "UnexpectedAdmissionError"
    assert "failed to write checkpoint file" in (verdict.message or "")


async def test_many_variables_survive_in_the_checkpoint(tmp_path: Path) -> None:
    """An environment of any size and script comes back as it was."""
    environment = {"EMPTY": "", "LONG": "x" * 70_000, "ÜNI": "код"}
    devices = DeviceManager(frozenset({0}))
    holder = Holder("uid", "app", "example.com/device")
    devices.allocations[holder] = Allocation(("a", "b"), ContainerAllocation(environment))
    write_checkpoint(tmp_path, devices)

    restored = DeviceManager(frozenset({0}))
    restore_checkpoint(tmp_path, restored)

    assert restored.allocations == devices.allocations


@given(st.binary(max_size=40))
def test_any_bytes_for_an_answer(answer: bytes) -> None:
    """A checkpoint with right sums whose answer is no message is unreadable, and nothing worse."""
    entry = {
        "PodUID": "uid",
        "ContainerName": "app",
        "ResourceName": NUMA_1,
        "DeviceIDs": {"1": ["numa-1-0"]},
        "AllocResp": base64.b64encode(answer).decode(),
    }
    data = {"PodDeviceEntries": [entry], "RegisteredDevices": {}}
    checksum = zlib.crc32(json.dumps(data, sort_keys=True).encode())
    devices = DeviceManager(frozenset({0, 1}))
    with TemporaryDirectory() as directory:
        path = Path(directory)
        (path / CHECKPOINT).write_text(json.dumps({"Data": data, "Checksum": checksum}))
        with suppress(BadCheckpoint):
            restore_checkpoint(path, devices)
            assert devices.allocations[Holder("uid", "app", NUMA_1)].device_ids == ("numa-1-0",)
