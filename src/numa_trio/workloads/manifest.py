"""Pod manifests: YAML or JSON documents as one gives them to kubectl."""

import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from attrs import frozen

from numa_trio.workloads.fields import BadFile, Field, plain, read_documents
from numa_trio.workloads.pod import Container, ContainerKind, Pod
from numa_trio.workloads.requirements import read_container_resources, read_pod_resources

_POD_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


@frozen
class Manifests:
    """The pods of some files, and a line about each document that was left out."""

    pods: tuple[Pod, ...]
    skipped: tuple[str, ...]


def load_manifests(paths: Sequence[Path]) -> Manifests:
    """Read the pods of all these files; raises `BadFile`.

    Documents of another kind are skipped; a file without any pod is an error.
    """
    pods: dict[tuple[str, str], Pod] = {}
    skipped = []
    for path in paths:
        found = False
        others: dict[str, None] = {}  # their kinds, in the order of the file
        for document in _objects(path):
            if (kind := document.child("kind").text()) != "Pod":
                others[kind := plain(kind) if kind else "(none)"] = None
                skipped.append(f"{document.where}: kind {kind}: skipped, not a Pod")
                continue
            pod = _pod(document)
            found = True
            if (key := (pod.namespace, pod.name)) in pods:
                raise BadFile(
                    f"{document.where}: there is a second pod {pod.name!r} in namespace"
                    f" {pod.namespace!r}; give each a name of its own"
                )
            pods[key] = pod
        if not found:
            only = f", only of kind {', '.join(others)}, which is skipped" if others else ""
            raise BadFile(f"{path}: found no document of kind Pod{only}; expected at least one")
    return Manifests(tuple(pods.values()), tuple(skipped))


def _objects(path: Path) -> Iterator[Field]:
    """The objects in a file, those in a List among them."""
    for document in read_documents(path):
        if document.child("kind").value == "List":
            yield from document.child("items").elements()
        else:
            yield document


def _pod(document: Field) -> Pod:
    if (version := document.child("apiVersion")).value != "v1":
        raise version.bad("v1")
    metadata = document.child("metadata")
    spec = document.child("spec")
    init_containers = [_init_container(field) for field in spec.child("initContainers").elements()]
    apps = [_container(field, ContainerKind.APP) for field in spec.child("containers").elements()]
    if not apps:
        raise spec.child("containers").bad("a list with at least one container")
    containers = (*init_containers, *apps)
    names: set[str] = set()
    for container in containers:
        if container.name in names:
            raise BadFile(
                f"{spec.where}: two containers are named {container.name!r}; give each a name of"
                " its own"
            )
        names.add(container.name)
    return Pod(
        name=metadata.child("name").name(_POD_NAME),
        namespace=_namespace(metadata.child("namespace")),
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
