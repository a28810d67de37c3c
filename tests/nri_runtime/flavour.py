"""containerd and CRI-O: what each makes of the annotations that kubelet and pods give."""

import json
from abc import ABC, abstractmethod
from collections.abc import Mapping
from fnmatch import fnmatchcase

from attrs import evolve, frozen

from nri_runtime.cri import Container, Pod


@frozen
class Flavour(ABC):
    """One runtime's ways."""

    name: str
    version: str
    metadata: Mapping[str, str]
    refuses_plugins_whose_updates_fail: bool

    @abstractmethod
    def dressed(self, pod: Pod, container: Container) -> Container:
        """The container with the labels and annotations that plugins see."""


@frozen
class Containerd(Flavour):
    """Copies only those annotations of the pod that its setting `pod_annotations` names."""

    name: str = "containerd"
    version: str = "1.7.24~ds1"
    metadata: Mapping[str, str] = {"containerd-namespace-ttrpc": "k8s.io"}
    refuses_plugins_whose_updates_fail: bool = False
    pod_annotations: tuple[str, ...] = ()

    def dressed(self, pod: Pod, container: Container) -> Container:
        passed = {
            key: value
            for key, value in pod.annotations.items()
            if any(fnmatchcase(key, pattern) for pattern in self.pod_annotations)
        }
        own = {
            "io.kubernetes.cri.container-name": container.name,
            "io.kubernetes.cri.container-type": "container",
            "io.kubernetes.cri.sandbox-id": pod.id,
            "io.kubernetes.cri.sandbox-name": pod.name,
            "io.kubernetes.cri.sandbox-namespace": pod.namespace,
            "io.kubernetes.cri.sandbox-uid": pod.uid,
        }
        return evolve(
            container,
            labels={**container.labels, "io.cri-containerd.kind": "container"},
            annotations={**passed, **container.annotations, **own},
        )


@frozen
class CriO(Flavour):
    """Copies all of the pod's annotations, and writes down apart which are the container's own."""

    name: str = "cri-o"
    version: str = "1.31.0"
    metadata: Mapping[str, str] = {}
    refuses_plugins_whose_updates_fail: bool = True

    def dressed(self, pod: Pod, container: Container) -> Container:
        own = {
            "io.kubernetes.cri-o.Annotations": json.dumps(dict(container.annotations)),
            "io.kubernetes.cri-o.ContainerType": "container",
            "io.kubernetes.cri-o.SandboxID": pod.id,
        }
        return evolve(container, annotations={**pod.annotations, **container.annotations, **own})
