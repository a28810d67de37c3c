"""What was recorded of a real runtime and a real plugin, and what the stand-in makes of it."""

from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve

from nri_runtime import messages, mux, ttrpc
from nri_runtime.cri import Container, Pod, Resources, State
from nri_runtime.messages import PACKAGE, Request, Response
from nri_runtime.runtime import StandInRuntime, open_runtime
from nri_trace import Recorded, recorded

REQUESTS = {
    "RegisterPlugin": messages.RegisterPluginRequest,
    "Configure": messages.ConfigureRequest,
    "Synchronize": messages.SynchronizeRequest,
    "CreateContainer": messages.CreateContainerRequest,
    "UpdateContainer": messages.UpdateContainerRequest,
}


def whole(record: Recorded) -> ttrpc.Frame:
    """The message in its frames."""
    joiner, frames = ttrpc.Joiner(), list[ttrpc.Frame]()
    for connection, payload in mux.Demux(longest=mux.LONGEST).feed(record.frames):
        assert connection == record.connection
        frames += joiner.feed(payload)
    [frame] = frames
    return frame


def request_of(session: int, method: str) -> Any:
    """What was asked in that session."""
    [record] = [one for one in recorded(session) if one.is_request and one.method == method]
    return REQUESTS[method].FromString(Request.FromString(whole(record).data).payload)


def unknown(shown: Any) -> bytes:
    """The fields that nri.proto has not."""
    rest = type(shown).FromString(shown.SerializeToString())
    for one in rest.DESCRIPTOR.fields:
        rest.ClearField(one.name)
    return bytes(rest.SerializeToString())


def known(shown: Any) -> Any:
    """The message with the fields that it has."""
    rest = type(shown).FromString(shown.SerializeToString())
    rest.DiscardUnknownFields()
    return rest


def pod_of(shown: Any) -> Pod:
    """The pod as it was shown, with all that NRI has besides."""
    return Pod(
        shown.name,
        shown.namespace,
        shown.uid,
        shown.id,
        dict(shown.labels),
        dict(shown.annotations),
        unknown(shown),
    )


def container_of(shown: Any) -> Container:
    """The container likewise."""
    mounts = messages.Container(mounts=shown.mounts).SerializeToString()
    return Container(
        shown.name,
        shown.pod_sandbox_id,
        shown.id,
        State(shown.state),
        dict(shown.labels),
        dict(shown.annotations),
        Resources.of(shown.linux.resources),
        shown.linux.cgroups_path,
        shown.pid,
        dict(one.split("=", 1) for one in shown.env),
        others=unknown(shown) + mounts,
    )


@pytest.mark.parametrize("record", recorded(), ids=lambda one: f"{one.session}-{one.method}")
def test_what_was_recorded_is_framed_alike(record: Recorded) -> None:
    """Taken apart and put together again, each message is the same to the byte."""
    frame = whole(record)
    kind = ttrpc.REQUEST if record.is_request else ttrpc.RESPONSE
    assert (frame.stream, frame.kind, frame.flags) == (record.stream, kind, 0)
    message = (Request if record.is_request else Response).FromString(frame.data)
    again = ttrpc.frame(frame.stream, frame.kind, message.SerializeToString())
    cut = mux.in_full_frames(again)
    assert b"".join(mux.frame(record.connection, piece) for piece in cut) == record.frames


def test_calls_and_answers_are_written_as_they_were_recorded() -> None:
    """By what makes them for the stand-in, from their parts."""
    call, answer = recorded(1)[:2]
    payload = messages.RegisterPluginRequest(plugin_name="numa-trio", plugin_idx="90")
    asked = ttrpc.request(1, "Runtime", "RegisterPlugin", payload.SerializeToString())
    assert mux.frame(mux.RUNTIME, asked) == call.frames
    assert mux.frame(mux.RUNTIME, ttrpc.response(1)) == answer.frames


def test_the_stand_in_shows_pods_and_containers_as_the_runtime_did() -> None:
    """What is held as it was recorded is shown so, and with as many bytes that are unknown."""
    shown = request_of(1, "Synchronize")
    assert (len(shown.pods), len(shown.containers)) == (4, 1)
    again = messages.SynchronizeRequest(
        pods=[pod_of(pod).message() for pod in shown.pods],
        containers=[container_of(one).message() for one in shown.containers],
    )
    assert known(again) == known(shown)
    for ours, theirs in zip(again.pods, shown.pods, strict=True):
        assert unknown(ours) == unknown(theirs) != b""
    assert unknown(again.containers[0]) == unknown(shown.containers[0]) != b""


async def replay(runtime: StandInRuntime, session: int) -> None:
    """Play the plugin of a session: to each request that comes its answer, as it was recorded."""
    answers = {
        (one.connection, one.stream): one.frames
        for one in recorded(session)
        if not one.by_runtime and not one.is_request
    }
    stream = await trio.open_unix_socket(str(runtime.socket_path))
    demux = mux.Demux()
    joiners = {mux.PLUGIN: ttrpc.Joiner(), mux.RUNTIME: ttrpc.Joiner()}
    async with stream:
        [register] = [one for one in recorded(1) if one.method == "RegisterPlugin"][:1]
        await stream.send_all(register.frames)
        async for data in stream:
            for connection, payload in demux.feed(bytes(data)):
                for frame in joiners[connection].feed(payload):
                    if frame.kind == ttrpc.REQUEST:
                        empty = mux.frame(connection, ttrpc.response(frame.stream))
                        default = CONFIGURED if frame.stream == 1 else empty
                        await stream.send_all(answers.get((connection, frame.stream), default))


CONFIGURED = next(
    one.frames for one in recorded(1) if one.method == "Configure" and not one.is_request
)


async def test_the_recorded_plugin_is_accepted(tmp_path: Path) -> None:
    """It registers, and pins what the recorded kubelet created; the request is the recorded one."""
    asked = request_of(1, "CreateContainer")
    own = "io.kubernetes.cri."
    container = container_of(asked.container)
    by_kubelet = {
        key: value for key, value in container.annotations.items() if not key.startswith(own)
    }
    async with open_runtime(tmp_path / "nri") as runtime, trio.open_nursery() as nursery:
        await runtime.start()
        nursery.start_soon(replay, runtime, 1)
        await runtime.wait_plugins(1)
        made = await runtime.create_container(
            pod_of(asked.pod), evolve(container, annotations=by_kubelet)
        )
        assert (made.resources.cpus, made.resources.mems) == ("2-3", "1")
        [configure] = runtime.recorder.of("Configure")
        assert configure.request == request_of(1, "Configure")
        [create] = runtime.recorder.of("CreateContainer")
        assert known(create.request.pod) == known(asked.pod)
        # The runtime was told the image's name, too, which is nothing to us.
        create.request.container.annotations[own + "image-name"] = "localhost/busybox:1"
        assert known(create.request.container) == known(asked.container)
        nursery.cancel_scope.cancel()


async def test_a_recorded_resize_is_asked_alike(tmp_path: Path) -> None:
    """Kubelet's in-place resize asks for no cpuset, the plugin says nothing: the cpuset stays."""
    asked = request_of(2, "UpdateContainer")
    async with open_runtime(tmp_path / "nri") as runtime, trio.open_nursery() as nursery:
        runtime.node.pods[asked.pod.id] = pod_of(asked.pod)
        runtime.node.containers[asked.container.id] = container_of(asked.container)
        await runtime.start()
        nursery.start_soon(replay, runtime, 2)
        await runtime.wait_plugins(1)
        changed = await runtime.update_container(
            asked.container.id, shares=204, cpu_quota=80000, cpu_period=100000, memory=134217728
        )
        [update] = runtime.recorder.of("UpdateContainer")
        assert known(update.request) == known(asked)
        expected = evolve(Resources.of(asked.linux_resources), cpus="2-3", mems="1")
        assert changed.resources == expected
        nursery.cancel_scope.cancel()


async def test_a_recorded_update_replaces_the_cpus_asked_for(tmp_path: Path) -> None:
    """As the CPU Manager asks for all CPUs, and the plugin answers with those of its node."""
    asked = request_of(4, "UpdateContainer")
    async with open_runtime(tmp_path / "nri") as runtime, trio.open_nursery() as nursery:
        runtime.node.pods[asked.container.pod_sandbox_id] = pod_of(asked.pod)
        runtime.node.containers[asked.container.id] = container_of(asked.container)
        await runtime.start()
        nursery.start_soon(replay, runtime, 4)
        await runtime.wait_plugins(1)
        await runtime.run_pod(Pod("nobody hears of"))
        # It was the fourth call of that session, after a creation.
        runtime.plugins[0].connection.next_stream = 7
        changed = await runtime.update_container(asked.container.id, cpus="0-3", shares=100)
        assert changed.resources == Resources(cpus="0-1", mems="0", shares=100)
        [update] = runtime.recorder.of("UpdateContainer")
        assert known(update.request) == known(asked)
        nursery.cancel_scope.cancel()


async def test_a_recorded_synchronization_moves_a_running_container(tmp_path: Path) -> None:
    """The plugin was away when it was created."""
    [answer] = recorded(3)
    update = messages.SynchronizeResponse.FromString(
        Response.FromString(whole(answer).data).payload
    ).update[0]
    running = Container("g1", id=update.container_id, pod_id="p", state=State.RUNNING)
    async with open_runtime(tmp_path / "nri") as runtime, trio.open_nursery() as nursery:
        runtime.node.pods["p"] = Pod("g1", id="p")
        runtime.node.containers[running.id] = running
        await runtime.start()
        nursery.start_soon(replay, runtime, 3)
        await runtime.wait_plugins(1)
        assert runtime.node.containers[running.id].resources == Resources(cpus="0-1", mems="0")
        nursery.cancel_scope.cancel()


def test_the_service_is_named_as_it_was_recorded() -> None:
    """Both sides' names begin with the package."""
    services = {Request.FromString(whole(one).data).service for one in recorded() if one.is_request}
    assert services == {f"{PACKAGE}.Plugin", f"{PACKAGE}.Runtime"}
