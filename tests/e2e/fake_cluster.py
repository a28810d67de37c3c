"""A cluster that answers kubectl's command lines from memory, in virtual time.

It does what the API server, kubelet and the plugin do between them, as far as the test looks;
`faults` are what goes wrong.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml
from attrs import Factory, define, field

from e2e.fake_crowd import Crowd
from e2e.fake_faults import Fault
from e2e.fake_node import FakeNode, failed
from e2e.kubectl import Json, KubectlFailed

PLUGIN_LABEL = {"app": "numa-resource-plugin"}

# The commands that are killed in the plugin's pod.
_DIES = {Fault.NO_TOPOLOGY: "numa-trio topology", Fault.NO_HEALTH: "numa-trio health"}


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
                return json.dumps(self._node(path.split("/")[4]).configz())
            case ["get", *what, "-o", "json"]:
                return json.dumps(self._get(what))
            case ["exec", "-n", _, pod, "-c", _, "--", "sh", "-c", script]:
                if any(command in script for command in map(_DIES.get, self.faults) if command):
                    raise KubectlFailed(arguments, "command terminated with exit code 137")
                return self._node(pod.rpartition("-")[0]).execute(script)
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
            return _manifests("registry.local:5000/numa-trio:0.1.0", {"NUMA_CAPACITY": "100"})
        outer = json.loads(file.read_text())
        (image,), (generator,) = outer["images"], outer["configMapGenerator"]
        components = {Path(component).name for component in outer["components"]}
        for node in self.nodes:
            node.counts = node.cpu == "static" and "counting" in components
            node.sees_host = "near" in components
            node.pins = "runtime" in components
        settings = dict(literal.split("=", 1) for literal in generator["literals"])
        return _manifests(f"{image['newName']}:{image['newTag']}", settings)

    def _apply(self, manifests: list[Json]) -> str:
        for thing in manifests:
            self.applied[_key(thing)] = thing
            if thing["kind"] == "ConfigMap":
                settings = thing["data"]
        self._roll(settings)
        return ""

    def _roll(self, settings: Mapping[str, str] | None = None) -> None:
        self.rollouts += 1
        for node in self.nodes:
            node.faults = self.faults
            node.roll(settings, self.time, again=self.rollouts > 1)

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
        limits = container["resources"]["limits"]
        (resource,) = (name for name in limits if name.endswith("-cpu"))
        numa_node = int(resource.split("-")[2])
        return Crowd(
            replicas=deployment["spec"]["replicas"],
            room=len(self._node_of(pod).numa_nodes[numa_node]) // limits[resource],
            resource=resource,
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
        return pod | node.admit(_containers(pod))

    def _restart_kubelet(self, node: FakeNode) -> str:
        if not node.service:
            return "none of these systemd services is active: kubelet, k3s\n"
        node.restart_kubelet(self.time)
        for pod in self.pods.values():
            if pod["status"]["phase"] == "Running" and self._comes_late(node, pod):
                pod["status"] = failed("UnexpectedAdmissionError")
        self._away_until = self.time + 4
        return f"restarted {node.service}\n"

    def _comes_late(self, node: FakeNode, pod: Json) -> bool:
        """Whether kubelet misses what an init container of a running pod has slots of."""
        init = pod["spec"].get("initContainers", [])
        names = "near-" in json.dumps(init)
        late = not node.served or Fault.LATE_AFTER_KUBELET_RESTART in self.faults
        names_late = not node.served_near or Fault.NAMES_LATE_AFTER_KUBELET_RESTART in self.faults
        return bool(init) and (late or (names and names_late))

    def _get(self, what: Sequence[str]) -> Json:
        match what:
            case ["daemonsets", *_]:
                found = [each for key, each in self.applied.items() if key.startswith("DaemonSet/")]
                return {"items": found}
            case ["nodes"]:
                return {"items": [node.as_object(self.time) for node in self.nodes]}
            case ["node", name]:
                return self._node(name).as_object(self.time)
            case ["pods", "-n", "numa-trio-e2e", "-l", label]:
                crowd = self.crowds.get(label.removeprefix("app="))
                return {"items": crowd.look() if crowd else []}
            case ["pods", *_]:
                ignored = Fault.LABEL_IGNORED in self.faults
                running = [
                    node
                    for node in self.nodes
                    if node.plugin_runs or (node.host_service and ignored)
                ]
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


def _manifests(image: str, settings: Mapping[str, str]) -> str:
    """What kustomize renders: documents of YAML, of which JSON is a part."""
    name, namespace = "numa-resource-plugin", "kube-system"
    config = f"{name}-{int(settings['NUMA_CAPACITY']):010d}"
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
            "data": settings,
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
