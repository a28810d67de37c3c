"""A cluster that answers kubectl's command lines from memory, in virtual time.

It does what the API server, kubelet and the plugin do between them, as far as the test looks;
`faults` are what goes wrong.
"""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import yaml
from attrs import Factory, define, field

from e2e.fake_crowd import Crowd
from e2e.fake_faults import Fault
from e2e.kubectl import Json, KubectlFailed
from numa_trio.topology.lists import format_list

PLUGIN_LABEL = {"app": "numa-resource-plugin"}


@define
class FakeNode:
    """A node of two CPUs a NUMA node; `served` is what the plugin has told its kubelet."""

    name: str
    numa_nodes: dict[int, frozenset[int]]
    topology: str = "single-numa-node"
    cpu: str = "static"
    memory: str = "Static"
    plugin_runs: bool = True
    service: str = "kubelet"
    kubelet_generation: int = 1
    served: int = 0
    counts: bool = False
    # When a status of kubelet's shows what is served.
    shown_from: float = 0


@define
class FakeCluster:
    """`run` is kubectl; `sleep` and `now` are its clock."""

    nodes: list[FakeNode]
    faults: frozenset[Fault] = frozenset()
    denies: dict[str, str] = Factory(dict)  # the name of a container: what the API server says
    time: float = 0
    pods: dict[str, Json] = Factory(dict)
    applied: dict[str, Json] = Factory(dict)  # kind/name: its manifest
    crowds: dict[str, Crowd] = Factory(dict)  # Deployments by name
    rollouts: int = 0
    commands: list[str] = Factory(list)
    _away_until: float = field(default=0)

    def now(self) -> float:
        return self.time

    def sleep(self, seconds: float) -> None:
        self.time += seconds

    def run(self, arguments: Sequence[str], stdin: str | None) -> str:
        self.commands.append(" ".join(arguments))
        if self.time < self._away_until:
            raise KubectlFailed(arguments, "connection refused")
        match list(arguments):
            case ["kustomize", folder]:
                return self._kustomize(folder)
            case ["apply", "-f", "-"]:
                return self._apply(_things(stdin))
            case ["create", "-f", "-"]:
                return self._create(json.loads(stdin or ""), arguments)
            case ["delete", "--ignore-not-found", "-f", "-"]:
                for thing in _things(stdin):
                    self.applied.pop(_key(thing), None)
                return ""
            case ["delete", "namespace", name, "--ignore-not-found"]:
                self.applied.pop(f"Namespace/{name}", None)
                return ""
            case ["delete", "deployment", name, *_]:
                self.crowds.pop(name, None)
                return ""
            case ["delete", "pod", name, *_]:
                self.pods.pop(name, None)
                for crowd in self.crowds.values():
                    crowd.leave(name)
                return f'pod "{name}" deleted'
            case ["rollout", "status", *_]:
                if Fault.NO_ROLLOUT in self.faults:
                    raise KubectlFailed(arguments, "timed out waiting for the condition")
                return ""
            case ["rollout", "restart", *_]:
                self._roll()
                return ""
            case ["get", "--raw", path]:
                return json.dumps(self._configz(self._node(path.split("/")[4])))
            case ["get", *what, "-o", "json"]:
                return json.dumps(self._get(what))
            case ["exec", "-n", _, pod, "-c", _, "--", "sh", "-c", script]:
                return self._execute(self._node(pod.rpartition("-")[0]), script)
            case ["logs", name, *_]:
                return str(self.pods[name]["log"])
            case other:
                raise AssertionError(f"not known: kubectl {' '.join(other)}")

    def _node(self, name: str) -> FakeNode:
        (node,) = (each for each in self.nodes if each.name == name)
        return node

    def _kustomize(self, folder: str) -> str:
        """The rendered overlay, or what a kustomization on top of it makes of it."""
        file = Path(folder) / "kustomization.yaml"
        if not file.exists():
            return _manifests("registry.local:5000/numa-trio:0.1.0", 100)
        outer = json.loads(file.read_text())
        (image,), (generator,) = outer["images"], outer["configMapGenerator"]
        (capacity,) = generator["literals"]
        for node in self.nodes:
            node.counts = node.cpu == "static" and bool(outer["components"])
        name = f"{image['newName']}:{image['newTag']}"
        return _manifests(name, int(capacity.removeprefix("NUMA_CAPACITY=")))

    def _apply(self, manifests: list[Json]) -> str:
        for thing in manifests:
            self.applied[_key(thing)] = thing
            if thing["kind"] == "ConfigMap":
                capacity = int(thing["data"]["NUMA_CAPACITY"])
        self._roll(capacity)
        return ""

    def _roll(self, capacity: int | None = None) -> None:
        self.rollouts += 1
        lost = Fault.LOST_BY_ROLLOUT in self.faults and self.rollouts > 1
        for node in self.nodes:
            if node.plugin_runs:
                node.served = 0 if lost else capacity or node.served
                node.shown_from = self.time + 3

    def _create(self, thing: Json, arguments: Sequence[str]) -> str:
        if thing["kind"] == "Pod":
            for container in _containers(thing):
                if said := self.denies.get(container["name"]):
                    raise KubectlFailed(arguments, said)
            self.pods[thing["metadata"]["name"]] = self._admit(thing)
        elif thing["kind"] == "Deployment":
            self.crowds[thing["metadata"]["name"]] = self._crowd(thing)
        else:
            self.applied[_key(thing)] = thing
        return ""

    def _crowd(self, deployment: Json) -> Crowd:
        pod = deployment["spec"]["template"]
        (container,) = pod["spec"]["containers"]
        node, (numa_node,) = self._node_of(pod), _numa_nodes_of(container)
        cpus = container["resources"]["limits"][f"numa-align/numa-{numa_node}-cpu"]
        return Crowd(
            replicas=deployment["spec"]["replicas"],
            room=len(node.numa_nodes[numa_node]) // cpus,
            resource=f"numa-align/numa-{numa_node}-cpu",
            faults=self.faults,
        )

    def _node_of(self, pod: Json) -> FakeNode:
        affinity = pod["spec"]["affinity"]["nodeAffinity"]
        (term,) = affinity["requiredDuringSchedulingIgnoredDuringExecution"]["nodeSelectorTerms"]
        return self._node(term["matchFields"][0]["values"][0])

    def _admit(self, pod: Json) -> Json:
        node = self._node_of(pod)
        if pod["spec"].get("hostPID"):
            return {**pod, "log": self._restart_kubelet(node), "status": {"phase": "Succeeded"}}
        asked = [_numa_nodes_of(container) for container in _containers(pod)]
        wanted = {numa_node for each in asked for numa_node in each}
        if not node.served:
            return {**pod, "status": _failed("UnexpectedAdmissionError")}
        if Fault.NO_ROOM in self.faults:
            condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable"}
            condition["message"] = "0/1 nodes are available: 1 Insufficient cpu."
            return {**pod, "status": {"phase": "Pending", "conditions": [condition]}}
        aligned = max(map(len, asked)) == 1 and all(asked)
        strict = node.topology in {"restricted", "single-numa-node"}
        if strict and not aligned and Fault.NOTHING_REFUSED not in self.faults:
            return {**pod, "status": _failed("TopologyAffinityError")}
        phase = "Running" if any(each.get("stdin") for each in _containers(pod)) else "Succeeded"
        return {**pod, "log": self._placement(node, min(wanted)), "status": {"phase": phase}}

    def _placement(self, node: FakeNode, numa_node: int) -> str:
        everywhere = frozenset().union(*node.numa_nodes.values())
        cpus = node.numa_nodes[numa_node] if node.cpu == "static" else everywhere
        if Fault.OTHER_CPUS in self.faults:
            cpus = everywhere
        memory = {numa_node} if node.memory == "Static" else set(node.numa_nodes)
        return (
            f"Cpus_allowed_list:\t{format_list(cpus)}\n"
            f"Mems_allowed_list:\t{format_list(memory)}\nNUMA_NODE={numa_node}\n"
        )

    def _restart_kubelet(self, node: FakeNode) -> str:
        if not node.service:
            return "none of these systemd services is active: kubelet, k3s\n"
        if Fault.NO_RESTART not in self.faults:
            node.kubelet_generation += 1
        node.shown_from = self.time + 5
        if Fault.LOST_BY_KUBELET_RESTART in self.faults:
            node.served = 0
        if Fault.LATE_AFTER_KUBELET_RESTART in self.faults or not node.served:
            for pod in self.pods.values():
                if pod["status"]["phase"] == "Running" and pod["spec"].get("initContainers"):
                    pod["status"] = _failed("UnexpectedAdmissionError")
        self._away_until = self.time + 4
        return f"restarted {node.service}\n"

    def _configz(self, node: FakeNode) -> Json:
        policies = {
            "topologyManagerPolicy": node.topology,
            "cpuManagerPolicy": node.cpu,
            "memoryManagerPolicy": node.memory,
        }
        return {"kubeletconfig": policies}

    def _get(self, what: Sequence[str]) -> Json:
        match what:
            case ["daemonsets", *_]:
                found = [each for key, each in self.applied.items() if key.startswith("DaemonSet/")]
                return {"items": found}
            case ["nodes"]:
                return {"items": [self._node_object(node) for node in self.nodes]}
            case ["node", name]:
                return self._node_object(self._node(name))
            case ["pods", "-n", "numa-trio-e2e", "-l", label]:
                crowd = self.crowds.get(label.removeprefix("app="))
                return {"items": crowd.look() if crowd else []}
            case ["pods", *_]:
                running = [node for node in self.nodes if node.plugin_runs]
                return {"items": [self._plugin_pod(node) for node in running]}
            case ["pod", name, *_]:
                return self.pods[name]
        raise AssertionError(f"not known: kubectl get {' '.join(what)}")

    def _plugin_pod(self, node: FakeNode) -> Json:
        ready = "False" if Fault.NO_ROLLOUT in self.faults else "True"
        return {
            "metadata": {"name": f"{node.name}-{self.rollouts}"},
            "spec": {"nodeName": node.name},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": ready}]},
        }

    def _node_object(self, node: FakeNode) -> Json:
        count = node.served if self.time >= node.shown_from else 0
        slots = {
            f"numa-align/numa-{numa_node}": str(count)
            for numa_node, cpus in node.numa_nodes.items()
            if cpus and node.plugin_runs
        }
        capacity = {name: str(node.served or 100) for name in slots}
        if node.counts:
            cpus = {f"numa-align/numa-{id_}-cpu": cpus for id_, cpus in node.numa_nodes.items()}
            slots |= {name: str(len(each)) for name, each in cpus.items() if each}
        return {
            "metadata": {"name": node.name},
            "status": {"capacity": {"cpu": "4", **capacity}, "allocatable": {"cpu": "3", **slots}},
        }

    def _execute(self, node: FakeNode, script: str) -> str:
        if script.startswith("stat "):
            return f"{node.kubelet_generation}\n"
        return "".join(f"node{id_} {format_list(cpus)}\n" for id_, cpus in node.numa_nodes.items())


def _manifests(image: str, capacity: int) -> str:
    """What kustomize renders: documents of YAML, of which JSON is a part."""
    name, namespace = "numa-resource-plugin", "kube-system"
    config = f"{name}-{capacity:010d}"
    container = {
        "name": name,
        "image": image,
        "envFrom": [{"configMapRef": {"name": config}}],
    }
    metadata = {"namespace": namespace, "labels": PLUGIN_LABEL}
    things: list[Any] = [
        {
            "kind": "ConfigMap",
            "metadata": {"name": config, **metadata},
            "data": {"NUMA_CAPACITY": str(capacity)},
        },
        {
            "kind": "DaemonSet",
            "metadata": {"name": name, **metadata},
            "spec": {"template": {"spec": {"containers": [container]}}},
        },
    ]
    return "---\n".join(f"{json.dumps(thing)}\n" for thing in things)


def _things(manifests: str | None) -> list[Json]:
    return list(yaml.safe_load_all(manifests or ""))


def _key(thing: Json) -> str:
    return f"{thing['kind']}/{thing['metadata']['name']}"


def _containers(pod: Json) -> list[Json]:
    return [*pod["spec"].get("initContainers", []), *pod["spec"]["containers"]]


def _numa_nodes_of(container: Json) -> list[int]:
    limits = container.get("resources", {}).get("limits", {})
    return [
        int(match[1]) for name in limits if (match := re.fullmatch(r"numa-align/numa-(\d+)", name))
    ]


def _failed(reason: str) -> Json:
    return {"phase": "Failed", "reason": reason, "message": "Pod was rejected"}
