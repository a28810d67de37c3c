"""The file in which kubelet keeps, across restarts, which devices containers have.

It is `kubelet_internal_checkpoint` of pkg/kubelet/cm/devicemanager/checkpoint, in its format but
for the checksum: kubelet's is a hash of Go's own form of the data, this one a CRC-32 of its JSON.
"""

import base64
import json
import secrets
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path

from numa_trio.kubelet.rpc.messages import dump_allocation, load_allocation
from numa_trio.simulator.devices import Allocation, DeviceManager, Holder

CHECKPOINT = "kubelet_internal_checkpoint"

_WITHOUT_NODE = -1


class BadCheckpoint(Exception):
    """The file does not hold what was written; kubelet then goes on without it."""


def write_checkpoint(directory: Path, devices: DeviceManager) -> None:
    """Replace the file at one stroke: written next to it, then renamed."""
    data = {
        "PodDeviceEntries": [
            _entry(holder, allocation) for holder, allocation in devices.allocations.items()
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
            places = _places(entry["DeviceIDs"])
            answer = load_allocation(base64.b64decode(entry["AllocResp"]))
            devices.allocations[holder] = Allocation(tuple(places), answer, places)
        for resource in data["RegisteredDevices"]:
            devices.expect(resource)
    except FileNotFoundError:
        return
    except (OSError, ValueError, LookupError, TypeError, AttributeError) as problem:
        raise BadCheckpoint(f"{path}: cannot be read: {problem!r}") from problem


def _places(ids_by_node: Mapping[str, Sequence[str]]) -> dict[str, tuple[int, ...]]:
    places: dict[str, tuple[int, ...]] = {}
    for node, ids in ids_by_node.items():
        for each in ids:
            known = places.setdefault(each, ())
            places[each] = known if int(node) == _WITHOUT_NODE else (*known, int(node))
    return places


def _entry(holder: Holder, allocation: Allocation) -> dict[str, object]:
    by_node: dict[str, list[str]] = {}
    for device_id in allocation.device_ids:
        for node in allocation.places.get(device_id) or (_WITHOUT_NODE,):
            by_node.setdefault(str(node), []).append(device_id)
    return {
        "PodUID": holder.pod_uid,
        "ContainerName": holder.container,
        "ResourceName": holder.resource,
        "DeviceIDs": by_node,
        "AllocResp": base64.b64encode(dump_allocation(allocation.answer)).decode("ascii"),
    }


def _checksum(data: object) -> int:
    return zlib.crc32(json.dumps(data, sort_keys=True).encode())
