"""Manifests of pods and of what makes pods: YAML or JSON as one gives it to kubectl."""

import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import define, field, frozen

from numa_trio.workloads.controllers import CONTROLLERS, check_version
from numa_trio.workloads.fields import STANDARD_INPUT, BadFile, Field, plain, read_documents
from numa_trio.workloads.pod import Container, ContainerKind, Pod
from numa_trio.workloads.requirements import read_container_resources, read_pod_resources

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

_POD_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_SUFFIXES = (".json", ".yaml", ".yml")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@frozen
class Manifests:
    """The pods of some files, and `remarks`: a line about each object that was left out.

    Or of which only some of its pods are here.
    """

    pods: tuple[Pod, ...]
    remarks: tuple[str, ...]


def load_manifests(paths: "Sequence[Path | Traversable]", replicas: int = 1) -> Manifests:
    """Read the pods of all these files and folders, or of standard input (`-`).

    Of what has a number of replicas there are so many pods as `replicas` says. Objects that make
    no pods are left out. Raises `BadFile`, also for a file or folder without any pod.
    """
    reading = _Reading(replicas)
    for path in paths:
        reading.read(path)
    return Manifests(tuple(reading.pods.values()), tuple(reading.remarks))


@define
class _Reading:
    replicas: int
    pods: dict[tuple[str, str], Pod] = field(factory=dict)
    remarks: list[str] = field(factory=list)

    def read(self, path: "Path | Traversable") -> None:
        """Read a file or folder that must have a pod."""
        found = False
        others: dict[str, None] = {}  # their kinds, in the order of the files
        for document in _objects(path):
            kind = document.child("kind").text()
            if kind == "Pod":
                check_version(document, "v1")
                self._add(document, _pod(document))
            elif kind and kind in CONTROLLERS:
                self._add_pods_of(document, kind)
            else:
                others[kind := plain(kind) if kind else "(none)"] = None
                self.remarks.append(f"{document.where}: kind {kind}: skipped, makes no pods")
                continue
            found = True
        if not found:
            only = f", only of kind {', '.join(others)}, which is skipped" if others else ""
            name = "standard input" if path == STANDARD_INPUT else path
            raise BadFile(
                f"{name}: found no document of kind Pod{only}; expected at least one,"
                f" or a {', '.join(CONTROLLERS)} or List"
            )

    def _add_pods_of(self, document: Field, kind: str) -> None:
        """The pods of a controller are called as kubectl calls it, `deployment/web`."""
        controller = CONTROLLERS[kind]
        template, wanted = controller.template(document), controller.replicas(document)
        metadata = document.child("metadata")
        name = f"{kind.lower()}/{metadata.child('name').name(_POD_NAME)}"
        pod = read_pod(template, name, _namespace(metadata.child("namespace")))
        if wanted is None or self.replicas == 1:
            self._add(document, pod)
        else:
            for number in range(self.replicas):
                replica = Pod(f"{name}-{number}", pod.containers, pod.namespace, pod.resources)
                self._add(document, replica)
        if wanted not in {None, self.replicas}:
            self.remarks.append(
                f"{document.where}: {name} has {wanted} pods, here {self.replicas} (--replicas)"
            )

    def _add(self, document: Field, pod: Pod) -> None:
        if (key := (pod.namespace, pod.name)) in self.pods:
            raise BadFile(
                f"{document.where}: there is a second pod {pod.name!r} in namespace"
                f" {pod.namespace!r}; give each a name of its own"
            )
        self.pods[key] = pod


def _objects(path: "Path | Traversable") -> Iterator[Field]:
    """The objects in a file, or in the files of a folder, those in a List among them."""
    for file in _files(path):
        for document in read_documents(file):
            if document.child("kind").value == "List":
                yield from document.child("items").elements()
            else:
                yield document


def _files(path: "Path | Traversable") -> "Sequence[Path | Traversable]":
    """The file itself, or what kubectl would take of a folder, by name."""
    if not isinstance(path, Path) or not os.path.isdir(path):  # noqa: PTH112  Path.is_dir raises where the name is too long
        return [path]
    try:
        files = sorted(each for each in path.iterdir() if each.suffix in _SUFFIXES)
    except OSError as problem:
        raise BadFile(f"{path}: cannot be read: {problem.strerror}") from problem
    if not files:
        raise BadFile(f"{path}: found no file in it that ends in {', '.join(_SUFFIXES)}")
    return files


def _pod(document: Field) -> Pod:
    metadata = document.child("metadata")
    name = metadata.child("name").name(_POD_NAME)
    return read_pod(document, name, _namespace(metadata.child("namespace")))


def read_pod(template: Field, name: str, namespace: str) -> Pod:
    """The pod with what a pod, or the template of one, has in its spec. Raises `BadFile`."""
    spec = template.child("spec")
    init_containers = [_init_container(field) for field in spec.child("initContainers").elements()]
    apps = [_container(field, ContainerKind.APP) for field in spec.child("containers").elements()]
    if not apps:
        raise spec.child("containers").bad("a list with at least one container")
    containers = (*init_containers, *apps)
    names: set[str] = set()
    for container in containers:
        if container.name in names:
            raise spec.refused(
                f"two containers are named {container.name!r}; give each a name of its own"
            )
        names.add(container.name)
    return Pod(
        name=name,
        namespace=namespace,
        containers=containers,
        resources=read_pod_resources(spec.child("resources"), containers),
    )


def _namespace(field: Field) -> str:
    return field.name(_LABEL) if field.value else "default"


def _init_container(container: Field) -> Container:
    always = container.child("restartPolicy").text() == "Always"
    return _container(container, ContainerKind.SIDECAR if always else ContainerKind.INIT)


def _container(container: Field, kind: ContainerKind) -> Container:
    return Container(
        name=container.child("name").name(_LABEL),
        resources=read_container_resources(container.child("resources")),
        kind=kind,
    )
