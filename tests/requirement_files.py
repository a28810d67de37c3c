"""What requirements/*.txt pin, and what is missing from a file on a machine that installs it."""

import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from itertools import product
from pathlib import Path
from typing import TypedDict

from attrs import frozen
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]

# What each file is resolved from, as scripts/pin-requirements does it.
ASKED: dict[str, list[str]] = {
    "run": PROJECT["dependencies"],
    "dev": PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"],
    **PYPROJECT["dependency-groups"],
}

Environment = Mapping[str, str]


class Metadata(TypedDict):
    """The core metadata of a package that installers read."""

    requires_python: str
    requires_dist: list[str]


@frozen
class Pin:
    """An entry of a file: one version of one package, where its marker applies."""

    requirement: Requirement
    hashes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return canonicalize_name(self.requirement.name)

    @property
    def version(self) -> str:
        return str(self.requirement.specifier).removeprefix("==")

    def applies(self, environment: Environment) -> bool:
        marker = self.requirement.marker
        return marker is None or marker.evaluate(dict(environment))


def pins(name: str) -> list[Pin]:
    """The entries of requirements/<name>.txt."""
    return list(_parse((ROOT / f"requirements/{name}.txt").read_text()))


def _parse(text: str) -> Iterator[Pin]:
    for line in text.replace("\\\n", " ").splitlines():
        requirement = re.split(r" --hash=| #", line)[0].strip()
        if requirement and not requirement.startswith("#"):
            yield Pin(Requirement(requirement), tuple(re.findall(r"--hash=(\S+)", line)))


def recorded_metadata() -> dict[str, Metadata]:
    """By name==version; scripts/record_requirements.py writes it, and CI checks it."""
    record: dict[str, Metadata] = json.loads((ROOT / "requirements/metadata.json").read_text())
    return record


def supported_environments() -> list[Environment]:
    """Every Python that pyproject.toml allows, its first and a late release, on amd64 and arm64."""
    supported = SpecifierSet(PROJECT["requires-python"])
    return [
        environment(f"3.{minor}", patch, machine)
        for minor, patch, machine in product(range(100), (0, 20), ("x86_64", "aarch64"))
        if f"3.{minor}.{patch}" in supported
    ]


def environment(python: str, patch: int = 0, machine: str = "x86_64") -> Environment:
    """Every variable of a marker, as CPython on Linux has it."""
    return {
        "implementation_name": "cpython",
        "implementation_version": f"{python}.{patch}",
        "os_name": "posix",
        "platform_machine": machine,
        "platform_python_implementation": "CPython",
        "platform_release": "6.1.0",
        "platform_system": "Linux",
        "platform_version": "#1 SMP",
        "python_full_version": f"{python}.{patch}",
        "python_version": python,
        "sys_platform": "linux",
    }


def unmet(
    asked: Iterable[str],
    entries: Iterable[Pin],
    metadata: Mapping[str, Metadata],
    where: Environment,
) -> list[str]:
    """What is missing if exactly the entries are installed there, as by `pip install --no-deps`.

    KeyError if an entry has no metadata.
    """
    here: dict[str, Pin] = {}
    faults = []
    for pin in entries:
        if pin.applies(where):
            if pin.name in here:
                faults.append(f"{pin.name} has two entries")
            here[pin.name] = pin
    wanted = [("pyproject.toml", each) for each in _that_apply(asked, (), where)]
    for pin in here.values():
        known = metadata[f"{pin.name}=={pin.version}"]
        python = where["python_full_version"]
        if python not in SpecifierSet(known["requires_python"]):
            faults.append(f"{pin.name} {pin.version} needs Python {known['requires_python']}")
        needs = _that_apply(known["requires_dist"], pin.requirement.extras, where)
        wanted += [(pin.name, each) for each in needs]
    faults += [f"{who} needs {each}" for who, each in wanted if not _satisfied(each, here)]
    return faults


def _that_apply(
    requirements: Iterable[str], extras: Iterable[str], where: Environment
) -> Iterator[Requirement]:
    for requirement in map(Requirement, requirements):
        marker = requirement.marker
        if marker is None or any(
            marker.evaluate({**where, "extra": extra}) for extra in ("", *extras)
        ):
            yield requirement


def _satisfied(requirement: Requirement, here: Mapping[str, Pin]) -> bool:
    """Also with the extras: an installer that resolves would otherwise look for another version."""
    pin = here.get(canonicalize_name(requirement.name))
    if pin is None or not requirement.specifier.contains(pin.version, prereleases=True):
        return False
    extras = {canonicalize_name(each) for each in pin.requirement.extras}
    return {canonicalize_name(each) for each in requirement.extras} <= extras
