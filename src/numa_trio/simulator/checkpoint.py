"""The file in which kubelet keeps, across restarts, which devices containers have.

It is `kubelet_internal_checkpoint` of pkg/kubelet/cm/devicemanager/checkpoint, in its format but
for the checksum: kubelet's is a hash of Go's own form of the data, this one a CRC-32 of its JSON.
"""

import base64
import json
import secrets
import zlib
from collections.abc import Iterator, Mapping
from pathlib import Path

from numa_trio.plugin.messages import ContainerAllocation
from numa_trio.simulator.devices import Allocation, DeviceManager, Holder

CHECKPOINT = "kubelet_internal_checkpoint"

_WITHOUT_NODE = -1


class BadCheckpoint(Exception):
    """The file does not hold what was written; kubelet then goes on without it."""


def write_checkpoint(directory: Path, devices: DeviceManager) -> None:
    """Replace the file at one stroke: written beside it, then renamed."""
    data = {
        "PodDeviceEntries": [
            _entry(devices, holder, allocation)
            for holder, allocation in devices.allocations.items()
        ]
        or None,
        "RegisteredDevices": {name: sorted(devices.healthy(name)) for name in devices.resources},
    }
    temporary = directory / f".{secrets.randbelow(10**10)}"
    with temporary.open("x", encoding="utf-8") as file:
        json.dump({"Data": data, "Checksum": _checksum(data)}, file)
    temporary.rename(directory / CHECKPOINT)


def restore_checkpoint(directory: Path, devices: DeviceManager) -> None:
    """Tell `devices` who has what, and which resources to expect; nothing if there is no file.

    Raises `BadCheckpoint`.
    """
    path = directory / CHECKPOINT
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        data = content["Data"]
        if content["Checksum"] != _checksum(data):
            raise BadCheckpoint(f"{path}: checkpoint is corrupted")
        for entry in data["PodDeviceEntries"] or ():
            holder = Holder(entry["PodUID"], entry["ContainerName"], entry["ResourceName"])
            ids = dict.fromkeys(each for ids in entry["DeviceIDs"].values() for each in ids)
            answer = ContainerAllocation(_decode(base64.b64decode(entry["AllocResp"])))
            devices.allocations[holder] = Allocation(tuple(ids), answer)
        for resource in data["RegisteredDevices"]:
            devices.expect(resource)
    except FileNotFoundError:
        return
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as problem:
        raise BadCheckpoint(f"{path}: cannot be read: {problem!r}") from problem


def _entry(devices: DeviceManager, holder: Holder, allocation: Allocation) -> dict[str, object]:
    by_node: dict[str, list[str]] = {}
    for device_id in allocation.device_ids:
        for node in devices.place(holder.resource, device_id) or (_WITHOUT_NODE,):
            by_node.setdefault(str(node), []).append(device_id)
    return {
        "PodUID": holder.pod_uid,
        "ContainerName": holder.container,
        "ResourceName": holder.resource,
        "DeviceIDs": by_node,
        "AllocResp": base64.b64encode(_encode(allocation.answer.environment)).decode("ascii"),
    }


def _checksum(data: object) -> int:
    return zlib.crc32(json.dumps(data, sort_keys=True).encode())


# AllocResp is a ContainerAllocateResponse in protobuf's wire format, of which only the map `envs`
# is kept: field 1, repeated; in each entry the name is field 1 and the value field 2.


def _encode(environment: Mapping[str, str]) -> bytes:
    return b"".join(
        _field(1, _field(1, name.encode()) + _field(2, value.encode()))
        for name, value in environment.items()
    )


def _decode(message: bytes) -> dict[str, str]:
    environment = {}
    for number, content in _fields(message):
        if number == 1:
            entry = dict(_fields(content))
            environment[entry.get(1, b"").decode()] = entry.get(2, b"").decode()
    return environment


def _field(number: int, content: bytes) -> bytes:
    length = len(content)
    encoded = bytearray([number << 3 | 2])
    while length > 0x7F:
        encoded.append(length & 0x7F | 0x80)
        length >>= 7
    return bytes(encoded) + bytes([length]) + content


def _fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """The fields of a message that has none but those with a length."""
    position = 0
    while position < len(message):
        number = message[position] >> 3
        length, shift = 0, 0
        while True:
            position += 1
            length |= (message[position] & 0x7F) << shift
            shift += 7
            if message[position] < 0x80:
                break
        position += 1
        yield number, message[position : position + length]
        position += length
