"""The cluster under test: what is deployed to it, run on it and read from it."""

import os
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from attrs import define, field, frozen

from e2e.deployment import Plugin, kustomization, read_manifests
from e2e.kubectl import Json, Kubectl, KubectlFailed
from e2e.objects import (
    ClusterNode,
    KubeletPolicies,
    NearReport,
    PodState,
    parse_near,
    parse_node,
    parse_numa_nodes,
    parse_pod,
    parse_policies,
    pod_is_ready,
)
from e2e.plan import Plan
from e2e.pods import TELL_NEAR, TELL_NUMA_NODES

LABEL = "app=numa-resource-plugin"

T = TypeVar("T")


class CannotTest(Exception):
    """The test cannot begin or go on; the message says why and what to change."""


@frozen
class Machine:
    """A node of the cluster: its NUMA nodes' CPUs, kubelet's policies, and what is near what."""

    name: str
    cpus: Mapping[int, frozenset[int]]
    policies: KubeletPolicies
    near: NearReport

    @property
    def advertised(self) -> list[int]:
        """The NUMA nodes that the plugin offers: those with CPUs."""
        return [numa_node for numa_node, cpus in sorted(self.cpus.items()) if cpus]


@frozen
class Outcome:
    """What became of a pod: `denied` by the API server, or its last state and its output."""

    denied: str | None
    state: PodState
    log: str = ""


@define
class Cluster:
    """A cluster, through kubectl. Methods raise `KubectlFailed`; `until` waits past it."""

    plan: Plan
    kubectl: Kubectl = field(factory=Kubectl)
    sleep: Callable[[float], None] = time.sleep
    now: Callable[[], float] = time.monotonic
    _applied: list[str] = field(init=False, factory=list)

    def until(self, look: Callable[[], T | None]) -> T | None:
        """What `look` returns once it is not None, or None after the plan's timeout.

        The API server itself may be away for a while: on some distributions it is part of the
        process that restarts.
        """
        deadline = self.now() + self.plan.timeout
        while True:
            try:
                seen = look()
            except KubectlFailed:
                seen = None
            if seen is not None or self.now() >= deadline:
                return seen
            self.sleep(self.plan.poll)

    def prepare(self) -> None:
        """Make the namespace of the pods; raise `CannotTest` where this would disturb somebody."""
        found = self.kubectl.get("daemonsets", "--all-namespaces", "-l", LABEL)["items"]
        if found:
            names = ", ".join(
                f"{name_of(each)} in {each['metadata']['namespace']}" for each in found
            )
            raise CannotTest(
                f"the plugin is deployed here already (DaemonSet {names}), and this test deploys,"
                " changes and removes it: delete it first, or use a cluster for tests"
            )
        # Privileged: the pod that restarts kubelet is.
        labels = {"pod-security.kubernetes.io/enforce": "privileged"}
        metadata = {"name": self.plan.namespace, "labels": labels}
        self.kubectl.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})

    def clean_up(self) -> None:
        """Delete the namespace of the pods, and all that was deployed."""
        self.kubectl("delete", "namespace", self.plan.namespace, "--ignore-not-found")
        for manifests in self._applied:
            self.kubectl("delete", "--ignore-not-found", "-f", "-", stdin=manifests)

    def deploy(self, capacity: int) -> Plugin:
        """Apply the overlay as a user does who sets image and capacity on top of it."""
        plugin = read_manifests(self.kubectl("kustomize", str(self.plan.overlay)))
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name).resolve()
            overlay, *components = (
                Path(os.path.relpath(each.resolve(), folder))
                for each in (self.plan.overlay, *self.plan.components)
            )
            settings = self.plan.settings(capacity)
            text = kustomization(plugin, overlay, components, self.plan.image, settings)
            (folder / "kustomization.yaml").write_text(text)
            manifests = self.kubectl("kustomize", str(folder))
        self._applied.append(manifests)
        self.kubectl("apply", "-f", "-", stdin=manifests)
        return plugin

    def await_rollout(self, plugin: Plugin) -> dict[str, str]:
        """The plugin's pods by node, once all are new and ready; else `CannotTest`."""
        try:
            self.kubectl(
                *("rollout", "status", f"daemonset/{plugin.daemonset}", "-n", plugin.namespace),
                f"--timeout={self.plan.timeout:.0f}s",
            )
        except KubectlFailed as failed:
            states = "; ".join(f"{name_of(pod)} {parse_pod(pod)}" for pod in self._pods(plugin))
            raise CannotTest(f"the plugin does not roll out: {failed.said}; {states}") from None
        return {
            pod["spec"]["nodeName"]: name_of(pod) for pod in self._pods(plugin) if pod_is_ready(pod)
        }

    def _pods(self, plugin: Plugin) -> Sequence[Json]:
        items: Sequence[Json] = self.kubectl.get("pods", "-n", plugin.namespace, "-l", LABEL)[
            "items"
        ]
        return items

    def in_plugin(self, plugin: Plugin, pod: str, script: str) -> str:
        """What a shell script prints in the plugin's container."""
        return self.kubectl(
            *("exec", "-n", plugin.namespace, pod, "-c", plugin.container),
            *("--", "sh", "-c", script),
        )

    def node_names(self) -> list[str]:
        """The names of all nodes of the cluster."""
        return sorted(name_of(node) for node in self.kubectl.get("nodes")["items"])

    def node(self, name: str) -> ClusterNode:
        """What the API server shows of a node now."""
        return parse_node(self.kubectl.get("node", name), self.plan.domain)

    def machine(self, plugin: Plugin, name: str, pod: str) -> Machine:
        """What a node is made of, read in the plugin's pod there and from its kubelet."""
        listing = self.in_plugin(plugin, pod, TELL_NUMA_NODES)
        policies = parse_policies(self.kubectl.raw(f"/api/v1/nodes/{name}/proxy/configz"))
        return Machine(name, parse_numa_nodes(listing), policies, self._near(plugin, pod))

    def _near(self, plugin: Plugin, pod: str) -> NearReport:
        if not self.plan.near:
            return NearReport()
        try:
            return parse_near(self.in_plugin(plugin, pod, TELL_NEAR))
        except (KubectlFailed, ValueError) as problem:
            return NearReport(problem=f"numa-trio topology in {pod}: {problem}")

    def run_pod(self, pod: Json) -> Outcome:
        """Create a pod, wait until it is over, and delete it."""
        outcome = self.start_pod(pod, running=False)
        if outcome.denied is not None:
            return outcome
        name, namespace = name_of(pod), self.plan.namespace
        log = ""
        if outcome.state.phase == "Succeeded":
            # Kubelet reads the log, and with some distributions is the API server too: where
            # the pod has restarted it, this waits.
            log = self.until(lambda: self.kubectl("logs", name, "-n", namespace)) or ""
        self.delete_pod(name)
        return Outcome(None, outcome.state, log)

    def start_pod(self, pod: Json, *, running: bool = True) -> Outcome:
        """Create a pod, and wait until it is over, or if `running` counts, until it runs."""
        try:
            self.kubectl.create(pod)
        except KubectlFailed as failed:
            return Outcome(failed.said, PodState("Denied"))

        def there() -> PodState | None:
            state = self._state(name_of(pod))
            return state if state.over or (running and state.phase == "Running") else None

        return Outcome(None, self.until(there) or self._state(name_of(pod)))

    def pod_state(self, name: str) -> PodState:
        """What the API server says of a pod, as soon as it answers."""
        return self.until(lambda: self._state(name)) or PodState("Unknown")

    def delete_pod(self, name: str) -> None:
        """Delete a pod if it is there, as soon as the API server answers."""
        where = ("-n", self.plan.namespace, "--ignore-not-found")
        self.until(lambda: self.kubectl("delete", "pod", name, *where))

    def deployment_pods(self, name: str) -> dict[str, PodState]:
        """The pods of a Deployment of ours, the dead ones too, by name."""
        pods = self.kubectl.get("pods", "-n", self.plan.namespace, "-l", f"app={name}")["items"]
        return {name_of(pod): parse_pod(pod) for pod in pods}

    def delete_deployment(self, name: str) -> None:
        """Delete a Deployment, and wait until its pods are gone."""
        where = ("-n", self.plan.namespace, "--ignore-not-found")
        self.until(lambda: self.kubectl("delete", "deployment", name, *where))
        self.until(lambda: not self.deployment_pods(name) or None)

    def _state(self, name: str) -> PodState:
        return parse_pod(self.kubectl.get("pod", name, "-n", self.plan.namespace))


def name_of(thing: Json) -> str:
    """The name of an object of the API."""
    name: str = thing["metadata"]["name"]
    return name
