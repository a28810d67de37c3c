"""Pod manifests: YAML documents as one gives them to kubectl."""

import re
from collections.abc import Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import yaml
from attrs import frozen

from numa_trio.simulator.pod import Container, ContainerKind, Pod, Resources
from numa_trio.simulator.quantity import parse_quantity
from numa_trio.simulator.resource_names import (
    is_container_resource,
    is_extended_resource,
    is_huge_pages,
)

_POD_NAME = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")
_CONTAINER_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")


class BadManifest(Exception):
    """A manifest cannot be used: the message names file, field, what it held, what is allowed."""


@frozen
class Manifests:
    """The pods of some files, and a line about each document that was left out."""

    pods: tuple[Pod, ...]
    skipped: tuple[str, ...]


def load_manifests(paths: Sequence[Path]) -> Manifests:
    """Read the pods of all these files; raises `BadManifest`.

    Documents of another kind are skipped; a file without any pod is an error.
    """
    pods: dict[tuple[str, str], Pod] = {}
    skipped = []
    for path in paths:
        found = False
        for document in _documents(path):
            if (kind := document.optional_text("kind")) != "Pod":
                skipped.append(f"{document.where}: kind {kind or '(none)'}: skipped, not a Pod")
                continue
            pod = _pod(document)
            found = True
            if (key := (pod.namespace, pod.name)) in pods:
                raise BadManifest(
                    f"{document.where}: there is a second pod {pod.name!r} in namespace"
                    f" {pod.namespace!r}; give each a name of its own"
                )
            pods[key] = pod
        if not found:
            raise BadManifest(f"{path}: found no document of kind Pod; expected at least one")
    return Manifests(tuple(pods.values()), tuple(skipped))


@frozen
class _Field:
    """A value in a manifest, and where it stands: which document, and the path in it."""

    document: str
    path: str
    value: object

    @property
    def where(self) -> str:
        return f"{self.document}: {self.path}" if self.path else self.document

    def bad(self, expected: str) -> BadManifest:
        seen = "nothing" if self.value is None else repr(self.value)
        return BadManifest(f"{self.where}: found {seen}; expected {expected}")

    def child(self, key: str) -> "_Field":
        """The value under a key; its value is None where there is none."""
        if not isinstance(self.value, dict):
            raise self.bad("a mapping")
        return self._inner(f".{key}", self.value.get(key))

    def items(self) -> Iterator[tuple[str, "_Field"]]:
        """The entries of a mapping, none if it is missing."""
        if self.value is None:
            return
        if not isinstance(self.value, dict):
            raise self.bad("a mapping")
        for key, value in self.value.items():
            yield str(key), self._inner(f".{key}", value)

    def elements(self) -> Iterator["_Field"]:
        """The elements of a list, none if it is missing."""
        if self.value is None:
            return
        if not isinstance(self.value, list):
            raise self.bad("a list")
        for number, value in enumerate(self.value):
            yield self._inner(f"[{number}]", value)

    def _inner(self, step: str, value: object) -> "_Field":
        return _Field(self.document, (self.path + step).removeprefix("."), value)

    def optional_text(self, key: str) -> str | None:
        """The text under a key, None where there is none."""
        child = self.child(key)
        if child.value is None:
            return None
        if not isinstance(child.value, str):
            raise child.bad("text (in quotes if it looks like a number)")
        return child.value

    def name(self, key: str, syntax: re.Pattern[str]) -> str:
        """The name under a key, which must be there and of the syntax."""
        text = self.optional_text(key)
        if text is None or not syntax.fullmatch(text):
            raise self.child(key).bad("a name of lower-case letters, digits and '-'")
        return text


def _documents(path: Path) -> Iterator[_Field]:
    """The documents of a file that are not empty; the items of a List count as documents."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise BadManifest(f"{path}: cannot be read as text: {problem}") from problem
    try:
        values = list(yaml.safe_load_all(text))
    except (yaml.YAMLError, RecursionError) as problem:
        raise BadManifest(f"{path}: is not YAML: {problem}") from problem
    for number, value in enumerate(values, start=1):
        document = _Field(f"{path}: document {number}", "", value)
        if value is None:
            continue
        if document.child("kind").value == "List":
            yield from document.child("items").elements()
        else:
            yield document


def _pod(document: _Field) -> Pod:
    if (version := document.child("apiVersion")).value != "v1":
        raise version.bad("v1")
    metadata = document.child("metadata")
    spec = document.child("spec")
    init_containers = [_init_container(field) for field in spec.child("initContainers").elements()]
    apps = [_container(field, ContainerKind.APP) for field in spec.child("containers").elements()]
    if not apps:
        raise spec.child("containers").bad("a list with at least one container")
    names = [container.name for container in [*init_containers, *apps]]
    for name in names:
        if names.count(name) > 1:
            raise BadManifest(
                f"{spec.where}: two containers are named {name!r}; give each a name of its own"
            )
    pod_level = spec.child("resources")
    return Pod(
        name=metadata.name("name", _POD_NAME),
        namespace=metadata.optional_text("namespace") or "default",
        containers=(*init_containers, *apps),
        resources=_resources(pod_level, pod_level=True) if pod_level.value else None,
    )


def _init_container(container: _Field) -> Container:
    always = container.optional_text("restartPolicy") == "Always"
    return _container(container, ContainerKind.SIDECAR if always else ContainerKind.INIT)


def _container(container: _Field, kind: ContainerKind) -> Container:
    return Container(
        name=container.name("name", _CONTAINER_NAME),
        resources=_resources(container.child("resources"), pod_level=False),
        kind=kind,
    )


def _resources(field: _Field, *, pod_level: bool) -> Resources:
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


def _quantities(field: _Field, pod_level: bool) -> dict[str, Fraction]:
    return {name: _quantity(name, value, pod_level) for name, value in field.items()}


def _quantity(name: str, field: _Field, pod_level: bool) -> Fraction:
    if pod_level and name not in {"cpu", "memory"} and not is_huge_pages(name):
        raise BadManifest(
            f"{field.where}: {name!r} is no resource of a whole pod;"
            " expected cpu, memory or hugepages-<size>"
        )
    if not is_container_resource(name):
        raise BadManifest(
            f"{field.where}: {name!r} is no resource of a container; expected cpu, memory,"
            " ephemeral-storage, hugepages-<size> or <domain>/<name> such as numa-align/numa-0"
        )
    try:
        quantity = parse_quantity(field.value)
    except ValueError as problem:
        raise BadManifest(f"{field.where}: {problem}") from None
    if is_extended_resource(name) and quantity.denominator != 1:
        raise field.bad("a whole number of devices")
    return quantity
