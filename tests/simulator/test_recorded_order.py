"""The stand-in beside a recording of a real kubelet 1.36: the same actions, the same order."""

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import trio
import yaml
from attrs import define, field
from inotify_simple import INotify, flags

from numa_trio.kubelet.rpc.loop import open_bridge
from numa_trio.plugin.messages import ContainerAllocation, PluginOptions
from numa_trio.plugin.resource import NumaResource
from numa_trio.simulator.kubelet import KubeletStandIn, open_kubelet
from plugin_double import PluginDouble
from simulated import container, init, machine, pod

RECORDED: list[dict[str, Any]] = yaml.safe_load(
    (Path(__file__).parent / "recorded_order.yaml").read_text()
)
PATIENCE = 20.0  # seconds; only a slow machine ever needs more than one
SEEN = flags.CREATE | flags.CLOSE_WRITE | flags.MOVED_FROM | flags.MOVED_TO | flags.DELETE
REPLACED = [
    ("CREATE", ".<digits>"),
    ("CLOSE_WRITE", ".<digits>"),
    ("MOVED_FROM", ".<digits>"),
    ("MOVED_TO", "kubelet_internal_checkpoint"),
]


@define
class Watched:
    """Slots of a node, which note what kubelet asks."""

    resource: NumaResource
    seen: list[str] = field(factory=list)

    @property
    def options(self) -> PluginOptions:
        self.seen.append("options")
        return PluginOptions()

    def devices(self) -> Sequence[object]:
        return self.resource.devices()

    def allocate(self, requests: Sequence[Sequence[str]]) -> Sequence[ContainerAllocation]:
        self.seen += [f"Allocate [{', '.join(device_ids)}]" for device_ids in requests]
        return self.resource.allocate(requests)


class WatchedDouble(PluginDouble):
    """A plugin that also notes what becomes of its streams and registrations."""

    def _count_streams(self, streams: int) -> None:
        self.plugin.seen.append("stream opened" if streams > self.streams else "stream ended")
        super()._count_streams(streams)

    async def start(self) -> None:
        await self.serve()
        self.plugin.seen.append("bound")
        await self.register()
        self.plugin.seen.append("answered")


@define
class Scene:
    """Kubelet, the plugin's two resources, and a watch on their directory."""

    kubelet: KubeletStandIn
    doubles: list[WatchedDouble]
    inotify: INotify

    async def act(self, action: str) -> None:
        """Do what the recording did, and wait until it has had its effect."""
        match action.split()[:2]:
            case ["plugin", "starts"]:
                await self._start_plugin()
            case ["plugin", "ends"]:
                for double in self.doubles:
                    await double.die()
                await self._settle(0)
            case ["pod", "with"]:
                verdict = await self.kubelet.admit(pod(init(numa=[1]), container(numa=[1])))
                assert verdict.admitted, verdict.message
            case ["kubelet", "gets"]:
                await self.kubelet.stop()
                for double in self.doubles:
                    await double.wait_streams(0)
            case ["kubelet", "starts,"]:
                await self.kubelet.start()
                for double in self.doubles:
                    await double.die()
                await self._start_plugin()
            case _:
                pytest.fail(f"no such action: {action}")

    async def _start_plugin(self) -> None:
        for double in self.doubles:
            await double.start()
            await double.wait_streams(1)
        await self._settle(4)

    async def _settle(self, allocatable: int) -> None:
        for double in self.doubles:
            await self.kubelet.wait_allocatable(double.name, allocatable)

    def files(self, kubelet_starts: bool) -> list[str]:
        """What happened to files since the last look, apart from what the plugin did."""
        happened = [
            (flag.name, re.sub(r"^\.\d+$", ".<digits>", event.name))
            for event in self.inotify.read(timeout=0)
            for flag in flags.from_mask(event.mask & SEEN)
        ]
        deleted = [name for what, name in happened if what == "DELETE" and name != "kubelet.sock"]
        summary = [f"deleted {' and '.join(sorted(deleted))}"] * (kubelet_starts and bool(deleted))
        rest = [each for each in happened if not re.match(r"numa-\d\.sock", each[1])]
        while rest:
            if rest[: len(REPLACED)] == REPLACED:
                summary.append("checkpoint replaced")
                del rest[: len(REPLACED)]
            else:
                what, name = rest.pop(0)
                summary.append(f"{what.lower()}d {name}")
        return summary


async def test_same_order_as_recorded(tmp_path: Path) -> None:
    """Calls, streams and files come in the order in which they came from a real kubelet."""
    with INotify() as inotify, trio.fail_after(PATIENCE):
        async with (
            open_bridge(),
            open_kubelet(tmp_path, machine([0, 1], [2, 3])) as kubelet,
            trio.open_nursery() as nursery,
        ):
            await kubelet.start()
            inotify.add_watch(tmp_path, SEEN)
            doubles = [
                WatchedDouble(
                    tmp_path, Watched(NumaResource.of_node(node, 4)), f"numa-{node}.sock", nursery
                )
                for node in (0, 1)
            ]
            scene = Scene(kubelet, doubles, inotify)
            for step in RECORDED:
                await scene.act(step["action"])
                check(scene, step)
            nursery.cancel_scope.cancel()


def check(scene: Scene, step: dict[str, Any]) -> None:
    action = step["action"]
    assert scene.files(action.startswith("kubelet starts")) == step["files"], action
    for double in scene.doubles:
        seen = list(double.plugin.seen)
        double.plugin.seen.clear()
        if (expected := step.get(double.plugin.resource.local_name)) is not None:
            assert _answered_last(seen) == expected, action
        node = {
            "allocatable": scene.kubelet.allocatable(double.name),
            "capacity": scene.kubelet.capacity(double.name),
        }
        assert node == step["node"], action


def _answered_last(seen: list[str]) -> list[str]:
    """With the answer to Register at the end, if it came after the options as it must."""
    if "answered" in seen:
        assert seen.index("options") < seen.index("answered")
    return sorted(seen, key=lambda each: each == "answered")
