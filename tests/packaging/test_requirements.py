"""Every dependency is pinned with hashes, to a version that pyproject.toml allows."""

import re
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PROJECT = PYPROJECT["project"]
ASKED = {
    "run": PROJECT["dependencies"],
    "dev": PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"],
    **PYPROJECT["dependency-groups"],
}


def pins(name: str) -> Iterator[tuple[Requirement, list[str]]]:
    """Each pinned requirement of requirements/<name>.txt and its hashes."""
    text = (ROOT / f"requirements/{name}.txt").read_text().replace("\\\n", " ")
    for line in text.splitlines():
        requirement = re.split(r" --hash=| #", line)[0].strip()
        if requirement and not requirement.startswith("#"):
            yield Requirement(requirement), re.findall(r"--hash=(\S+)", line)


def versions(name: str) -> dict[str, str]:
    """Which version of each package requirements/<name>.txt pins."""
    return {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==") for pin, _ in pins(name)
    }


@pytest.mark.parametrize("name", ASKED)
def test_what_pyproject_asks_for_is_pinned(name: str) -> None:
    """No dependency was added or raised in pyproject.toml without `just requirements`."""
    pinned = versions(name)
    asked = [Requirement(text) for text in ASKED[name]]
    assert [
        str(each)
        for each in asked
        if not each.specifier.contains(pinned.get(canonicalize_name(each.name), "0"))
    ] == []


@pytest.mark.parametrize("name", ASKED)
def test_every_pin_is_exact_and_has_hashes(name: str) -> None:
    """pip refuses a file that is not the one that was pinned."""
    for pin, hashes in pins(name):
        assert [each.operator for each in pin.specifier] == ["=="], pin
        assert hashes, pin
        assert all(each.startswith("sha256:") for each in hashes), pin


def test_tests_run_on_the_versions_that_the_image_has() -> None:
    """What both files pin, they pin to the same version."""
    development = versions("dev")
    assert {name: development[name] for name in versions("run")} == versions("run")


def test_what_would_slow_the_agent_down_is_not_installed() -> None:
    """betterproto2 imports pydantic wherever it finds it, at the price of memory and start time."""
    assert "pydantic" not in versions("run")
