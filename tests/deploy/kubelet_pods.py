"""The manifests of the policy tests as pods of the kubelet stand-in."""

from deploy.admission import as_admitted
from deploy.pods import Object
from numa_trio.workloads.pod import Container, ContainerKind, Pod, Resources
from numa_trio.workloads.quantity import parse_quantity


def resources_of(fields: Object) -> Resources:
    requests, limits = (
        {name: parse_quantity(amount) for name, amount in fields.get(kind, {}).items()}
        for kind in ("requests", "limits")
    )
    return Resources(requests, limits)


def pod_of(manifest: Object) -> Pod:
    """The pod as kubelet starts it, init containers first."""
    spec = as_admitted(manifest)["spec"]
    init = [
        (c, ContainerKind.SIDECAR if c.get("restartPolicy") == "Always" else ContainerKind.INIT)
        for c in spec.get("initContainers", [])
    ]
    apps = [(c, ContainerKind.APP) for c in spec["containers"]]
    containers = tuple(
        Container(c["name"], resources_of(c["resources"]), kind) for c, kind in init + apps
    )
    pod_level = spec.get("resources")
    return Pod("pod", containers, resources=resources_of(pod_level) if pod_level else None)
