"""A Synchronize that is too large for one message: in parts, or as old libraries send it."""

from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import evolve

from nri_runtime.cri import Container, Pod, State
from nri_runtime.messages import SynchronizeResponse
from nri_runtime.plugin import Plugin, open_plugin, update
from nri_runtime.runtime import StandInRuntime, open_runtime

POD = Pod("db")


def hold(runtime: StandInRuntime, *containers: Container) -> None:
    """Have these containers since before."""
    runtime.node.pods[POD.id] = POD
    for container in containers:
        held = evolve(container, pod_id=POD.id)
        runtime.node.containers[held.id] = held


def padded(count: int, size: int) -> list[Container]:
    """So many containers, each with an annotation of that many bytes."""
    pad = {"pad": "x" * size}
    return [
        Container(f"c{number}", state=State.RUNNING, annotations=pad) for number in range(count)
    ]


async def test_what_is_too_large_comes_in_parts(tmp_path: Path) -> None:
    """From 0.8 on; each part but the last says that more comes, and all are of one deadline."""
    containers = padded(100, 300)
    async with open_runtime(tmp_path / "nri", library=(0, 8, 0), largest_message=8192) as runtime:
        hold(runtime, *containers)
        await runtime.start()

        async def answer(part: Any) -> Any:
            await trio.lowlevel.checkpoint()
            moved = update(containers[0].id, cpus="0")
            return SynchronizeResponse(update=[] if part.more else [moved], more=part.more)

        plugin = Plugin(handlers={"Synchronize": answer})
        async with open_plugin(runtime.socket_path, plugin):
            await runtime.wait_plugins(1)
            parts = plugin.told("Synchronize")
    assert len(parts) > 5
    assert [part.more for part in parts] == [True] * (len(parts) - 1) + [False]
    assert all(part.ByteSize() <= 8192 for part in parts)
    assert [one.name for part in parts for one in part.containers] == [
        one.name for one in containers
    ]
    assert [one.name for part in parts for one in part.pods] == ["db"]
    assert runtime.node.containers[containers[0].id].resources.cpus == "0"


@pytest.mark.parametrize(
    "answer",
    [SynchronizeResponse(), SynchronizeResponse(more=True, update=[update("x", cpus="0")])],
    ids=["not more", "updates"],
)
async def test_a_plugin_that_does_not_understand_parts_is_dropped(
    tmp_path: Path, answer: Any
) -> None:
    """To a part that is not the last the answer is `more`, without updates."""

    async def handle(_: object) -> Any:
        await trio.lowlevel.checkpoint()
        return answer

    async with open_runtime(tmp_path / "nri", library=(0, 12, 0), largest_message=4096) as runtime:
        hold(runtime, *padded(50, 300))
        await runtime.start()
        plugin = Plugin(handlers={"Synchronize": handle})
        async with open_plugin(runtime.socket_path, plugin):
            await plugin.connection.closed.wait()
        assert runtime.recorder.noted("does not handle split sync requests")
        assert len(plugin.told("Synchronize")) == 1


async def test_old_libraries_send_any_size_at_once(tmp_path: Path) -> None:
    """0.6.1 sends more than 4 MiB, which a Go plugin refuses: it is one of theirs no more."""
    async with open_runtime(tmp_path / "nri") as runtime:
        hold(runtime, *padded(5, 1 << 20))
        await runtime.start()
        async with open_plugin(runtime.socket_path) as plugin:
            noted = runtime.recorder.noted
            await runtime.recorder.wait_until(lambda: bool(noted("failed to synchronize")))
            assert not plugin.told("Synchronize")
            [asked] = runtime.recorder.of("Synchronize")
            assert asked.request.ByteSize() > 4 << 20
            assert "message of" in asked.failure
