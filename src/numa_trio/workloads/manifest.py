"""Pod manifests: YAML or JSON documents as one gives them to kubectl."""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

from attrs import frozen

from numa_trio.workloads.fields import BadFile, Field, plain, read_documents
from numa_trio.workloads.pod import Container, ContainerKind, Pod, Resources
from numa_trio.workloads.quantity import milli, shown
from numa_trio.workloads.resource_names import (
    is_container_resource,
    is_extended_resource,
    is_huge_pages,
)

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
    names: set[str] = set()
    for container in [*init_containers, *apps]:
        if container.name in names:
            raise BadFile(
                f"{spec.where}: two containers are named {container.name!r}; give each a name of"
                " its own"
            )
        names.add(container.name)
    pod_level = _resources(spec.child("resources"), pod_level=True)
    return Pod(
        name=metadata.child("name").name(_POD_NAME),
        namespace=_namespace(metadata.child("namespace")),
        containers=(*init_containers, *apps),
        # As `IsPodLevelResourcesSet` has it, empty ones are none.
        resources=pod_level if pod_level.requests or pod_level.limits else None,
    )


def _namespace(field: Field) -> str:
    return field.name(_LABEL) if field.value else "default"


def _init_container(container: Field) -> Container:
    always = container.child("restartPolicy").text() == "Always"
    return _container(container, ContainerKind.SIDECAR if always else ContainerKind.INIT)


def _container(container: Field, kind: ContainerKind) -> Container:
    return Container(
        name=container.child("name").name(_LABEL),
        resources=_resources(container.child("resources"), pod_level=False),
        kind=kind,
    )


def _resources(field: Field, *, pod_level: bool) -> Resources:
    if field.value is None:
        return Resources()
    requests = _quantities(field.child("requests"), pod_level)
    limits = _quantities(field.child("limits"), pod_level)
    for name, limit in limits.items():
        request = requests.setdefault(name, limit)  # the API server's default
        if request > limit or (request < limit and _must_equal_limit(name)):
            expected = f"the limit, {field.child('limits').child(name).value}"
            at_most = "" if _must_equal_limit(name) else "at most "
            raise field.child("requests").child(name).bad(at_most + expected)
    for name in requests:
        if name not in limits and _must_equal_limit(name):
            request_field = field.child("requests").child(name)
            raise request_field.bad("a limit beside it, equal to the request")
    return Resources(requests, limits)


def _must_equal_limit(name: str) -> bool:
    return is_extended_resource(name) or is_huge_pages(name)


def _quantities(field: Field, pod_level: bool) -> dict[str, Fraction]:
    return {name: _quantity(name, value, pod_level) for name, value in field.items()}


def _quantity(name: str, field: Field, pod_level: bool) -> Fraction:
    if pod_level and name not in {"cpu", "memory"} and not is_huge_pages(name):
        raise BadFile(
            f"{field.where}: {shown(name)} is no resource of a whole pod;"
            " expected cpu, memory or hugepages-<size>"
        )
    if not is_container_resource(name):
        raise BadFile(
            f"{field.where}: {shown(name)} is no resource of a container; expected cpu, memory,"
            " ephemeral-storage, hugepages-<size> or <domain>/<name> such as numa-align/numa-0"
        )
    # Of resource lists the API server keeps thousandths, rounded up.
    quantity = Fraction(milli(field.quantity()), 1000)
    if is_extended_resource(name) and quantity.denominator != 1:
        raise field.bad("a whole number of devices")
    return quantity
