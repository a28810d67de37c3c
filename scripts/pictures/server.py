"""A server with two sockets, its disks and its pods, drawn from what commands say of it."""

import json
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from html import escape
from pathlib import Path
from typing import Any

from attrs import field, frozen

from numa_trio.simulator.machine_file import load_machine, shipped_machines
from numa_trio.simulator.sysfs_tree import write_sysfs
from numa_trio.simulator.wiring_tree import write_host
from numa_trio.topology.cores import read_cores
from numa_trio.topology.lists import parse_list
from numa_trio.topology.sizes import format_bytes

MACHINE = "two-node-server"

_COLOURS = ("#2f855a", "#a04a12", "#2f62a8")
_WASHES = ("#e6f4ec", "#f8ebe2", "#e5edf8")
_FREE = "#cbd5e0"
_INK, _FAINT, _LINE = "#2d3748", "#4a5568", "#8a94a6"
_MONO = 'font-family="ui-monospace, monospace" font-size="12"'

_LEFT, _WIDTH, _APART = 26, 344, 20  # of the boxes of nodes, in pixels
_TOP = 48
_PER_ROW, _THREAD, _PITCH = 8, 17, 39
_POD_HEIGHT, _DEVICE_HEIGHT = 62, 60


@frozen
class PodBox:
    """A container that is pinned, and what it asked for."""

    name: str
    asks_for: str
    node: str
    cpus: frozenset[int]
    cpulist: str
    colour: str
    wash: str


@frozen
class NodeBox:
    """A NUMA node with its cores, pods and devices."""

    number: int
    memory: str
    cores: Sequence[tuple[int, ...]]
    devices: Sequence[Sequence[str]]
    pods: Sequence[PodBox] = field(factory=tuple)


def draw_server(pods: Path) -> str:
    """The picture of these pods on the machine, as `topology` and `simulate` tell it."""
    nodes = list(_nodes(_pods(pods)))
    rows = max(len(node.cores) // _PER_ROW for node in nodes)
    most = max(len(node.pods) for node in nodes)
    inner = 60 + rows * 22 + most * (_POD_HEIGHT + 8)
    height = _TOP + inner + _DEVICE_HEIGHT + 48
    width = 2 * _LEFT + len(nodes) * _WIDTH + (len(nodes) - 1) * _APART
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}"'
            ' font-family="system-ui, sans-serif" font-size="13" role="img"'
            ' aria-labelledby="title">'
        ),
        (
            '<title id="title">A server with two NUMA nodes: the pod that asks for near-data runs'
            " on the node where the drive hangs</title>"
        ),
        f'<rect width="{width}" height="{height}" rx="10" fill="#ffffff"/>',
        (
            f'<rect x="10" y="10" width="{width - 20}" height="{height - 20}" rx="8" fill="none"'
            f' stroke="{_LINE}" stroke-width="1.5"/>'
        ),
        _text(_LEFT, 34, f"server ({MACHINE})", _FAINT, weight=600),
    ]
    for place, node in enumerate(nodes):
        parts += _node(node, _LEFT + place * (_WIDTH + _APART), inner)
    return "\n".join([*parts, "</svg>", ""])


def _pods(manifests: Path) -> list[dict[str, Any]]:
    """What became of the pods, from `numa-trio simulate`."""
    command = ["numa-trio", "simulate", "--pod", str(manifests), "--output", "json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    found: list[dict[str, Any]] = json.loads(done.stdout)["rounds"][0]["pods"]
    return found


def _nodes(pods: Sequence[dict[str, Any]]) -> Iterator[NodeBox]:
    """The nodes with what is near them, from `numa-trio topology` on the machine's sysfs."""
    boxes = [_pod(each, place) for place, each in enumerate(pods)]
    with tempfile.TemporaryDirectory() as directory:
        sysfs, host = Path(directory, "sys"), Path(directory, "host")
        machine = load_machine(shipped_machines()[MACHINE])
        write_sysfs(sysfs, machine)
        write_host(host, sysfs, machine.wiring)
        roots = ["--sysfs-root", str(sysfs), "--host-root", str(host)]
        command = ["numa-trio", "topology", "--output", "json", *roots]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        cores = read_cores(sysfs, frozenset(cpu.id for cpu in machine.cpus))
    for node in json.loads(done.stdout)["nodes"]:
        yield NodeBox(
            node["id"],
            format_bytes(node["memory_bytes"]),
            [core.cpus for core in cores.of(parse_list(node["cpus"]))],
            list(_devices(node)),
            [box for box in boxes if box.node == str(node["id"])],
        )


def _pod(pod: dict[str, Any], place: int) -> PodBox:
    (container,) = pod["containers"]
    (resource,) = next(iter(pod["asks_for"].values()))
    return PodBox(
        pod["name"],
        resource,
        container["environment"]["NUMA_NODE"],
        parse_list(container["cpus"]),
        container["cpus"],
        _COLOURS[place % len(_COLOURS)],
        _WASHES[place % len(_WASHES)],
    )


def _devices(node: dict[str, Any]) -> Iterator[Sequence[str]]:
    """Each disk with where it is mounted, and each interface, with its PCI slot; in lines."""
    for disk in node["disks"]:
        mounts = [each["name"] for each in node["mounts"] if disk["name"] in each["chain"]]
        yield disk["name"], f"PCI {disk['chain'][-1]}", *mounts
    for interface in node["interfaces"]:
        yield interface["name"], f"PCI {interface['chain'][-1]}"


def _node(node: NodeBox, x: int, height: int) -> Iterator[str]:
    yield _box(x, _TOP, _WIDTH, height, "#f4f6fa", _LINE)
    yield _text(x + 16, _TOP + 24, f"NUMA node {node.number}", _INK, weight=600)
    yield _text(x + _WIDTH - 16, _TOP + 24, f"memory {node.memory}", _FAINT, anchor="end")
    owners = {cpu: pod.colour for pod in node.pods for cpu in pod.cpus}
    for place, core in enumerate(node.cores):
        row, column = divmod(place, _PER_ROW)
        for thread, cpu in enumerate(core):
            left = x + 16 + column * _PITCH + thread * (_THREAD + 1)
            colour = owners.get(cpu, _FREE)
            top = _TOP + 38 + row * 22
            size = f'width="{_THREAD}" height="17" rx="2"'
            yield f'<rect x="{left}" y="{top}" {size} fill="{colour}"/>'
            ink = "#ffffff" if cpu in owners else _INK
            yield _text(left + _THREAD // 2, top + 12, str(cpu), ink, anchor="middle", size=9)
    top = _TOP + 52 + 22 * (len(node.cores) // _PER_ROW)
    for pod in node.pods:
        yield from _pod_box(pod, x + 16, top)
        top += _POD_HEIGHT + 8
    yield from _device_boxes(node, x, _TOP + height)


def _pod_box(pod: PodBox, x: int, y: int) -> Iterator[str]:
    yield _box(x, y, _WIDTH - 32, _POD_HEIGHT, pod.wash, pod.colour)
    yield _text(x + 12, y + 20, pod.name, _INK, weight=600)
    yield _text(x + 12, y + 37, f"{pod.asks_for}: 1", _INK, mono=True)
    yield _text(x + 12, y + 53, f"NUMA_NODE={pod.node}, CPUs {pod.cpulist}", _INK, mono=True)


def _device_boxes(node: NodeBox, x: int, y: int) -> Iterator[str]:
    width = (_WIDTH - 12 * (len(node.devices) - 1)) // max(len(node.devices), 1)
    for place, (name, *lines) in enumerate(node.devices):
        left = x + place * (width + 12)
        yield f'<path d="M{left + width // 2} {y}v18" stroke="{_LINE}" fill="none"/>'
        yield _box(left, y + 18, width, _DEVICE_HEIGHT, "#edf2f7", _LINE)
        yield _text(left + 10, y + 35, name, _INK, weight=600, size=12)
        for row, line in enumerate(lines):
            yield _text(left + 10, y + 51 + 16 * row, line, _INK, size=12)


def _box(x: int, y: int, width: int, height: int, fill: str, stroke: str) -> str:
    size = f'x="{x}" y="{y}" width="{width}" height="{height}"'
    return f'<rect {size} rx="7" fill="{fill}" stroke="{stroke}"/>'


def _text(
    x: int,
    y: int,
    text: str,
    fill: str,
    *,
    weight: int | None = None,
    anchor: str | None = None,
    size: int | None = None,
    mono: bool = False,
) -> str:
    attributes = [
        f'x="{x}" y="{y}" fill="{fill}"',
        f'font-weight="{weight}"' if weight else "",
        f'text-anchor="{anchor}"' if anchor else "",
        f'font-size="{size}"' if size else "",
        _MONO if mono else "",
    ]
    return f"<text {' '.join(filter(None, attributes))}>{escape(text, quote=False)}</text>"
