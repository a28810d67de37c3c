"""Which devices kubelet takes for given, by its own file."""

import json
import os
from contextlib import suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numa_trio.kubelet import device_checkpoint
from numa_trio.kubelet.device_checkpoint import (
    CHECKPOINT,
    CheckpointUnreadable,
    DeviceCheckpoint,
)
from numa_trio.plugin.messages import ContainerAllocation, Device
from numa_trio.simulator.checkpoint import restore_checkpoint, write_checkpoint
from numa_trio.simulator.devices import Allocation, DeviceManager
from simulated import container, init, pod

CPUS = "numa-align/numa-1-cpu"

# As a kubelet 1.36 wrote it, but for the answers, of which nothing is read.
SEEN = {
    "Data": {
        "PodDeviceEntries": [
            {
                "PodUID": "0a1f",
                "ContainerName": "app",
                "ResourceName": "numa-align/numa-1",
                "DeviceIDs": {"1": ["numa-1-4"]},
                "AllocResp": "CgA=",
            }
        ],
        "RegisteredDevices": {"numa-align/numa-1": ["numa-1-4", "numa-1-5"]},
    },
    "Checksum": 1,
}


def write(directory: Path, content: object) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (directory / CHECKPOINT).write_text(text, encoding="utf-8")


def test_reads_what_kubelet_writes(tmp_path: Path) -> None:
    """Devices that containers have, not those that are only registered."""
    write(tmp_path, SEEN)

    assert DeviceCheckpoint(tmp_path).given_devices() == ({"numa-align/numa-1": {"numa-1-4"}},)


def test_reads_where_devices_were_when_they_were_given(tmp_path: Path) -> None:
    """Kubelet files each device under its nodes, and those without under -1."""
    devices = DeviceManager(frozenset({0, 1}))
    near = "numa-align/near-data"
    for nodes, app in (((0, 1), "both"), ((1,), "one"), ((), "none")):
        devices.update(near, [Device(app, True, nodes)])
        holder = pod(container(app), name=app)
        allocation = Allocation((app,), ContainerAllocation())
        devices.allocate(holder, holder.containers[0], near, allocation)
    write_checkpoint(tmp_path, devices)
    expected = {"both": (0, 1), "one": (1,), "none": ()}
    assert DeviceCheckpoint(tmp_path).device_nodes() == {near: expected}
    restored = DeviceManager(frozenset({0, 1}))
    restore_checkpoint(tmp_path, restored)
    write_checkpoint(tmp_path, restored)
    assert DeviceCheckpoint(tmp_path).device_nodes() == {near: expected}


def test_devices_of_init_containers_are_given(tmp_path: Path) -> None:
    """Also those that no later container uses again; each once."""
    devices = DeviceManager(frozenset({0, 1}))
    ids = tuple(f"numa-1-cpu-{n}" for n in range(3))
    devices.update(CPUS, [Device(each, True, (1,)) for each in ids])
    first, app = init(), container()
    running = pod(first, app)
    for part, taken in ((first, ids), (app, ids[:1])):
        devices.allocate(running, part, CPUS, Allocation(taken, ContainerAllocation()))
    write_checkpoint(tmp_path, devices)

    assert DeviceCheckpoint(tmp_path).given_devices() == ({CPUS: set(ids)},)


def test_no_container_has_devices(tmp_path: Path) -> None:
    """Kubelet then writes null."""
    write(tmp_path, {"Data": {"PodDeviceEntries": None, "RegisteredDevices": {}}, "Checksum": 1})

    assert DeviceCheckpoint(tmp_path).given_devices() == ()


@pytest.mark.parametrize(
    "content",
    [
        "",
        "[]",
        "null",
        json.dumps(SEEN)[:-40],
        '{"Data": {}}',
        '{"Data": {"PodDeviceEntries": 5}}',
        '{"Data": {"PodDeviceEntries": [{"DeviceIDs": {"1": []}}]}}',
        '{"Data": {"PodDeviceEntries": [{"ResourceName": "x", "DeviceIDs": ["a"]}]}}',
        '{"Data": {"PodDeviceEntries": [{"ResourceName": "x", "DeviceIDs": {"1": 7}}]}}',
        json.dumps(SEEN).replace('"1":', '"1024":'),
        json.dumps(SEEN).replace('"1":', '"-2":'),
        "[" * 100_000,
    ],
)
def test_says_that_a_file_is_not_what_kubelet_writes(tmp_path: Path, content: str) -> None:
    """Torn, of another form, or endlessly nested: the message names the file."""
    write(tmp_path, content)

    with pytest.raises(CheckpointUnreadable, match=f"{CHECKPOINT} is not what kubelet writes"):
        DeviceCheckpoint(tmp_path).given_devices()


def test_reads_a_file_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked for often, may have megabytes, and is another one when anything has changed."""
    write(tmp_path, SEEN)
    read = []
    loads = json.loads
    monkeypatch.setattr(json, "loads", lambda content: read.append(content) or loads(content))
    checkpoint = DeviceCheckpoint(tmp_path)
    for _ in range(3):
        assert checkpoint.given_devices() == ({"numa-align/numa-1": {"numa-1-4"}},)
        assert checkpoint.device_nodes() == {"numa-align/numa-1": {"numa-1-4": (1,)}}
    assert len(read) == 1
    (tmp_path / "new").write_text(json.dumps(SEEN).replace("numa-1-4", "numa-1-5"))
    (tmp_path / "new").rename(tmp_path / CHECKPOINT)
    assert checkpoint.given_devices() == ({"numa-align/numa-1": {"numa-1-5"}},)
    (tmp_path / CHECKPOINT).unlink()
    with pytest.raises(CheckpointUnreadable):
        checkpoint.given_devices()


def test_says_that_there_is_no_file(tmp_path: Path) -> None:
    """A new node has none until a plugin registers."""
    with pytest.raises(CheckpointUnreadable, match="No such file"):
        DeviceCheckpoint(tmp_path).given_devices()


def test_a_huge_file_is_not_read_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One byte less is."""
    write(tmp_path, SEEN)
    size = (tmp_path / CHECKPOINT).stat().st_size
    monkeypatch.setattr(device_checkpoint, "_LARGEST", size)
    assert DeviceCheckpoint(tmp_path).given_devices()

    monkeypatch.setattr(device_checkpoint, "_LARGEST", size - 1)
    with pytest.raises(CheckpointUnreadable, match=f"larger than {size - 1} bytes"):
        DeviceCheckpoint(tmp_path).given_devices()


def test_what_is_not_a_file_keeps_nobody_waiting(tmp_path: Path) -> None:
    """A named pipe that nobody writes to, and a directory."""
    path = tmp_path / CHECKPOINT
    os.mkfifo(path)
    with pytest.raises(CheckpointUnreadable, match="not a regular file"):
        DeviceCheckpoint(tmp_path).given_devices()

    path.unlink()
    path.mkdir()
    with pytest.raises(CheckpointUnreadable, match=CHECKPOINT):
        DeviceCheckpoint(tmp_path).given_devices()


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["Data", "PodDeviceEntries", "ResourceName", "DeviceIDs", "1"]),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)
entries = st.fixed_dictionaries(
    {
        "ResourceName": json_values | st.just("x"),
        "DeviceIDs": json_values | st.dictionaries(st.just("1"), json_values),
    }
)
checkpoints = (
    json_values.map(json.dumps).map(str.encode)
    | st.lists(entries).map(lambda e: json.dumps({"Data": {"PodDeviceEntries": e}}).encode())
    | st.binary(max_size=50)
    | st.integers(0, 400).map(lambda cut: json.dumps(SEEN).encode()[:cut])
)


@given(checkpoints)
def test_whatever_the_file_holds_is_read_or_refused(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    """Ids are texts by resource name, or there is one kind of error."""
    directory = tmp_path_factory.getbasetemp()
    (directory / CHECKPOINT).write_bytes(content)
    checkpoint = DeviceCheckpoint(directory)
    with suppress(CheckpointUnreadable):
        checkpoint.device_nodes()
        given_devices = checkpoint.given_devices()
        assert all(isinstance(name, str) for pod in given_devices for name in pod)
        assert all(
            isinstance(each, str) for pod in given_devices for ids in pod.values() for each in ids
        )
