"""What the managers of a real kubelet 1.36 answered, and the same pods on the simulator's own.

The file `data/kubelet-1.36-admissions.json` explains its fields under `about`. The environment
variable NUMA_TRIO_ADMISSIONS names another file of the same form to replay instead.
"""

import json
import os
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from attrs import define, field

from numa_trio.plugin.messages import ContainerAllocation, Device, PreferredAllocationRequest
from numa_trio.plugin.resource import NumaResource
from numa_trio.simulator.admission import Verdict, admit, admit_again, scheduler_verdict
from numa_trio.simulator.devices import DeviceManager
from numa_trio.simulator.hints import Policy, Scope
from numa_trio.simulator.kubelet_config import KubeletConfig
from numa_trio.simulator.machine_file import load_machine
from numa_trio.simulator.node import Node
from numa_trio.topology.lists import format_list, parse_list
from numa_trio.workloads.fields import BadFile
from numa_trio.workloads.manifest import load_manifests
from numa_trio.workloads.pod import Pod

OWN_RECORDING = Path(__file__).parent / "data" / "kubelet-1.36-admissions.json"
RECORDING = Path(os.environ.get("NUMA_TRIO_ADMISSIONS") or OWN_RECORDING)

Recorded = Mapping[str, Any]


def recorded(what: str) -> list[Recorded]:
    """The `cases` or the `restarts` of the recording; an error if it has neither.

    A recording of one's own may have only one of them.
    """
    content = json.loads(RECORDING.read_text(encoding="utf-8"))
    if not content.get("cases") and not content.get("restarts"):
        raise ValueError(f"{RECORDING}: has neither cases nor restarts")
    found: list[Recorded] = content.get(what) or []
    return found


class Answering:
    """Plugins that answer Allocate at once and prefer no device to another."""

    def prefers(self, resource: str) -> bool:
        return False

    async def preferred(self, resource: str, request: PreferredAllocationRequest) -> list[str]:
        raise NotImplementedError

    async def allocate(self, resource: str, device_ids: Sequence[str]) -> ContainerAllocation:
        return ContainerAllocation({})

    def allocated(self) -> None:
        pass


@define
class Replay:
    """A node as a case describes it, and the pods on it by name."""

    case: Recorded
    directory: Path
    node: Node
    pods: dict[str, Pod] = field(factory=dict)

    @classmethod
    def of(cls, case: Recorded, directory: Path) -> "Replay":
        path = directory / "machine.yaml"
        path.write_text(yaml.safe_dump(case["machine"]), encoding="utf-8")
        config = KubeletConfig(Policy(case["policy"]), Scope(case["scope"]), case["reserved_cpus"])
        replay = cls(case, directory, Node.create(load_machine(path), config))
        replay.register()
        return replay

    def register(self) -> None:
        """All plugins register and list their devices."""
        for name in self.case["resources"]:
            resource = NumaResource.of_node(
                int(name.removeprefix("numa-align/numa-")), self.case["capacity"]
            )
            self.node.devices.update(resource.name, resource.devices())
        for extra in self.case["extra"]:
            devices = [Device(d["id"], True, tuple(d["nodes"])) for d in extra["devices"]]
            self.node.devices.update(extra["name"], devices)

    async def answer(self, operation: Recorded) -> dict[str, Any]:
        """Do what an operation says; what came of it, in the fields of the recording."""
        if operation["op"] == "remove":
            if pod := self.pods.pop(operation["name"], None):
                self.node.release(pod)
            return {"name": operation["name"], "op": "remove", "admitted": False}
        name = operation["pod"]["metadata"]["name"]
        try:
            pod = self.read(operation["pod"])
        except BadFile as problem:
            return {"name": name, "op": "admit", "admitted": False, "invalid": str(problem)}
        verdict = (self.case["scheduler"] and scheduler_verdict(self.node, pod)) or await admit(
            self.node, pod, Answering()
        )
        if verdict.admitted:
            self.pods[name] = pod
        return {"name": name, "op": "admit", "qos": str(pod.qos), **self.outcome(verdict)}

    async def readmit(self, *, registered: bool) -> list[dict[str, Any]]:
        """Restart kubelet under the pods that run; what it says of each."""
        node = self.node
        running = [*self.pods.values()]
        for pod in running:
            node.started(pod)
        kept = node.devices.allocations
        node.devices = DeviceManager(node.numa_nodes, kept)
        for resource in [*self.case["resources"], *(each["name"] for each in self.case["extra"])]:
            node.devices.expect(resource)
        if registered:
            self.register()
        verdicts = await admit_again(node, running, Answering())
        return [{"name": v.pod.name, **_reason(v)} for v in verdicts]

    def read(self, manifest: Recorded) -> Pod:
        path = self.directory / "pod.json"
        path.write_text(json.dumps(manifest), encoding="utf-8")
        (pod,) = load_manifests([path]).pods
        return pod

    def outcome(self, verdict: Verdict) -> dict[str, Any]:
        if not verdict.admitted:
            return _reason(verdict)
        containers = []
        for placement in verdict.placements:
            bound = placement.memory_nodes if placement.memory_bound else ()
            answer: dict[str, Any] = {
                "name": placement.container.name,
                "cpus": format_list(placement.cpus) if placement.exclusive else "",
                "memory": sorted(bound),
            }
            if placement.devices:
                answer["devices"] = {name: len(ids) for name, ids in placement.devices.items()}
                answer["device_nodes"] = {
                    name: self.places(name, ids) for name, ids in placement.devices.items()
                }
            containers.append(answer)
        shared = format_list(self.node.cpus.shared)
        return {"admitted": True, "containers": containers, "shared": shared}

    def places(self, resource: str, device_ids: Sequence[str]) -> dict[tuple[int, ...], int]:
        devices = self.node.devices
        return dict(Counter(tuple(sorted(devices.place(resource, each))) for each in device_ids))


def _reason(verdict: Verdict) -> dict[str, Any]:
    if verdict.admitted:
        return {"admitted": True}
    return {"admitted": False, "reason": verdict.reason, "message": verdict.message}


def legible(answer: Recorded) -> dict[str, Any]:
    """A recorded answer with the counts of devices by NUMA nodes taken apart (`1:2`, `:1`)."""
    containers = answer.get("containers")
    if containers is None:
        return dict(answer)
    return {**answer, "containers": [_with_places(container) for container in containers]}


def _with_places(container: Recorded) -> dict[str, Any]:
    if "device_nodes" not in container:
        return dict(container)
    places = {
        name: {
            tuple(sorted(parse_list(nodes.strip(" ,;")))): int(count)
            for nodes, count in re.findall(r"([^:]*):([0-9]+)", counts)
        }
        for name, counts in container["device_nodes"].items()
    }
    return {**container, "device_nodes": places}


def names_the_place(message: str, invalid: Sequence[str]) -> bool:
    """Whether a message names the field, or its parent, that the API server complains about.

    It is enough that it names the first of several. The words are each other's own.
    """
    return any(place in message for complaint in invalid for place in _places(complaint))


def _places(complaint: str) -> list[str]:
    place = re.sub(r"\[([^0-9\]][^\]]*)\]", r".\1", complaint.partition(": ")[0])
    return [place, place.rpartition(".")[0]]
