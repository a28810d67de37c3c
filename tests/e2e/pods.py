"""The pods that the test creates. Pure."""

from collections.abc import Iterable, Mapping
from typing import Any

from attrs import evolve, frozen

from e2e.kubectl import Json

# Prints what `objects.parse_placement` reads.
TELL_PLACEMENT = (
    "grep -E '^(Cpus|Mems)_allowed_list' /proc/self/status;"
    ' [ -z "${NUMA_NODE+set}" ] || echo "NUMA_NODE=$NUMA_NODE"'
)

# Prints what `objects.parse_numa_nodes` reads; a kernel without NUMA is one node 0.
TELL_NUMA_NODES = (
    "if cd /sys/devices/system/node 2>/dev/null; then"
    ' for node in node[0-9]*; do echo "$node $(cat "$node/cpulist")"; done;'
    ' else echo "node0 $(cat /sys/devices/system/cpu/online)"; fi'
)

# The services that kubelet is, or is part of, by distribution.
KUBELET_SERVICES = (
    "kubelet",
    "rke2-agent",
    "rke2-server",
    "k3s-agent",
    "k3s",
    "k0sworker",
    "k0scontroller",
    "snap.microk8s.daemon-kubelite",
)

# What the restart begins to say when it has done its work.
RESTARTED = "restarted "

# On the host: restarts the one that is active.
RESTART_KUBELET = (
    f"for service in {' '.join(KUBELET_SERVICES)}; do"
    ' if systemctl is-active --quiet "$service"; then'
    f' systemctl restart --no-block "$service" && echo "{RESTARTED}$service"; exit; fi; done;'
    f" echo 'none of these systemd services is active: {', '.join(KUBELET_SERVICES)}'"
)

# In the plugin's container: prints what `objects.parse_near` reads.
TELL_NEAR = "numa-trio topology --output json"

# In the plugin's container: prints what `pinned.parse_pinning` reads, ready or not.
TELL_PINNING = (
    'echo "NUMA_NRI=${NUMA_NRI:-off}";'
    ' echo "NUMA_MEMORY_POLICY=${NUMA_MEMORY_POLICY:-bind}";'
    " numa-trio health || :"
)

# In the plugin's container: a number that changes with every life of kubelet's socket.
TELL_KUBELET_GENERATION = "stat -c '%i %Z' /var/lib/kubelet/device-plugins/kubelet.sock"


# Nothing ever comes on its standard input, which kubelet holds open.
_FOREVER: Json = {"command": ["cat"], "stdin": True}


@frozen
class Probe:
    """A container that tells its placement and ends: one CPU, 64 MiB and one slot each.

    The slots are of NUMA nodes, and of names that are near something. One that is not `guaranteed`
    requests a part of a CPU, and has no limit.
    """

    name: str
    nodes: tuple[int, ...] = ()
    near: tuple[str, ...] = ()
    guaranteed: bool = True

    @property
    def resources(self) -> list[str]:
        """What it has slots of, without the domain."""
        return [*(f"numa-{node}" for node in self.nodes), *(f"near-{name}" for name in self.near)]


@frozen
class PodMaker:
    """Makes pods that run in `namespace` from `image`, which has sh, cat and grep."""

    namespace: str
    image: str
    domain: str

    def probe(self, name: str, machine: str, *probes: Probe, init: Iterable[Probe] = ()) -> Json:
        """A pod for the cluster node `machine`, Guaranteed if all its containers are."""
        spec = {
            **_on(machine),
            "initContainers": [self._container(probe) for probe in init],
            "containers": [self._container(probe) for probe in probes],
        }
        return self._pod(name, spec)

    def keeper(self, name: str, machine: str, probe: Probe) -> Json:
        """A Guaranteed pod with the slots of `probe` that runs until it is deleted.

        Its init container has the same slots.
        """
        init, app = (self._container(evolve(probe, name=role)) for role in ("init", probe.name))
        spec = {**_on(machine), "initContainers": [init], "containers": [app | _FOREVER]}
        return self._pod(name, spec)

    def crowd(self, name: str, machine: str, numa_node: int, *, cpus: int, replicas: int) -> Json:
        """A Deployment whose pods each count `cpus` CPUs of a NUMA node and run for ever."""
        container = self._container(Probe("app", (numa_node,)))
        numbers = {"cpu": cpus, f"{self.domain}/numa-{numa_node}-cpu": cpus}
        amounts = container["resources"]["limits"] | numbers
        container |= _FOREVER | {"resources": {"requests": amounts, "limits": amounts}}
        pod = self._pod(name, {**_on(machine), "containers": [container]})
        # With 0 seconds the API server would forget a pod before kubelet has stopped it, and the
        # scheduler send the next one into CPUs that are not free yet.
        pod["spec"] |= {"restartPolicy": "Always", "terminationGracePeriodSeconds": 1}
        labels = {"app": name}
        return {
            "apiVersion": "apps/v1",
            "kind": "Deployment",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "replicas": replicas,
                "selector": {"matchLabels": labels},
                "template": {"metadata": {"labels": labels}, "spec": pod["spec"]},
            },
        }

    def kubelet_restart(self, name: str, machine: str) -> Json:
        """A privileged pod that restarts the kubelet of `machine` through systemd."""
        container = {
            "name": "restart",
            "image": self.image,
            "command": ["chroot", "/host", "sh", "-c", RESTART_KUBELET],
            "securityContext": {"privileged": True},
            "volumeMounts": [{"name": "host", "mountPath": "/host"}],
        }
        spec = {
            **_on(machine),
            "hostPID": True,
            "containers": [container],
            "volumes": [{"name": "host", "hostPath": {"path": "/"}}],
        }
        return self._pod(name, spec)

    def _pod(self, name: str, spec: Mapping[str, Any]) -> Json:
        return {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": self.namespace},
            "spec": {
                "restartPolicy": "Never",
                "terminationGracePeriodSeconds": 0,
                "automountServiceAccountToken": False,
                "tolerations": [{"operator": "Exists"}],
                **spec,
            },
        }

    def _container(self, probe: Probe) -> Json:
        slots = {f"{self.domain}/{resource}": 1 for resource in probe.resources}
        resources = {"cpu": 1 if probe.guaranteed else "100m", "memory": "64Mi", **slots}
        return {
            "name": probe.name,
            "image": self.image,
            "command": ["sh", "-c", TELL_PLACEMENT],
            "resources": {
                "requests": resources,
                "limits": resources if probe.guaranteed else slots,
            },
            "securityContext": {
                "allowPrivilegeEscalation": False,
                "capabilities": {"drop": ["ALL"]},
                "seccompProfile": {"type": "RuntimeDefault"},
            },
        }


def _on(machine: str) -> Json:
    """Placed by the scheduler, which counts slots, on this node and no other.

    (`nodeName` would go past the scheduler.)
    """
    term = {"matchFields": [{"key": "metadata.name", "operator": "In", "values": [machine]}]}
    return {
        "affinity": {
            "nodeAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": [term]}
            }
        }
    }
