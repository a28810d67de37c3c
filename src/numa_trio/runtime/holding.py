"""Which NUMA nodes a container's devices are of, as only kubelet can say it.

Kubelet gives what Allocate returned to the runtime as annotations of the container. A pod may have
annotations of the same name, and some runtimes copy those to its containers.
"""

import json
from collections.abc import Mapping

from numa_trio.runtime.messages import Container, Pod, Runtime
from numa_trio.topology.lists import MalformedText, parse_list

_CRIO = "cri-o"

# CRI-O keeps here, as JSON, what kubelet gave for the container. It sets it itself, after it has
# copied the pod's annotations. On containerd, a pod could.
_CRIO_ANNOTATIONS = "io.kubernetes.cri-o.Annotations"


class NotTrusted(Exception):
    """The annotation is there, but may be the pod's own; the message says what to change."""


def held_nodes(annotation: str, pod: Pod, container: Container, runtime: Runtime) -> frozenset[int]:
    """The nodes of the devices that the container holds; none if it holds none of ours.

    They are in this `annotation`, which Allocate returned.

    Raises `NotTrusted`, and `MalformedText` for a value that is no list of nodes.
    """
    value = _given(annotation, pod, container, runtime)
    if value is None:
        return frozenset()
    nodes = parse_list(value)
    if not nodes:
        raise MalformedText(value, "a list of nodes, as in 0 or 0-1")
    return nodes


def holds_device(annotation: str, pod: Pod, container: Container, runtime: Runtime) -> bool:
    """Whether the container holds a device for which Allocate returned this annotation.

    Raises `NotTrusted`.
    """
    return _given(annotation, pod, container, runtime) is not None


def _given(key: str, pod: Pod, container: Container, runtime: Runtime) -> str | None:
    """The value that kubelet gave for the container; None if there is none."""
    if runtime.name == _CRIO:
        given = _as_crio_keeps_it(container.annotations)
        if given is not None:
            value = given.get(key)
            return value if isinstance(value, str) else None
    value = container.annotations.get(key)
    if value is not None and key in pod.annotations:
        raise NotTrusted(
            f"the pod has an annotation {key} of its own, so that this runtime cannot tell who set"
            " that of the container: remove it from the pod"
        )
    return value


def _as_crio_keeps_it(annotations: Mapping[str, str]) -> dict[str, object] | None:
    try:
        given = json.loads(annotations.get(_CRIO_ANNOTATIONS, ""))
    except ValueError:
        return None
    return given if isinstance(given, dict) else None
