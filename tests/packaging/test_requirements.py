"""Every dependency is pinned with hashes, and what is pinned is all that an installation needs."""

import importlib.metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from requirement_files import (
    ASKED,
    Metadata,
    Pin,
    environment,
    pins,
    recorded_metadata,
    supported_environments,
    unmet,
)


def versions(name: str) -> dict[str, str]:
    """Which version of each package requirements/<name>.txt pins."""
    return {pin.name: pin.version for pin in pins(name)}


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
    for pin in pins(name):
        assert [each.operator for each in pin.requirement.specifier] == ["=="], pin
        assert pin.hashes, pin
        assert all(each.startswith("sha256:") for each in pin.hashes), pin


@pytest.mark.parametrize("name", ASKED)
def test_each_file_is_complete_on_every_supported_machine(name: str) -> None:
    """Installed with --no-deps, the entries have everything that they and the project need."""
    entries, metadata = pins(name), recorded_metadata()
    faults = {
        fault
        for where in supported_environments()
        for fault in unmet(ASKED[name], entries, metadata, where)
    }
    assert faults == set()


@pytest.mark.parametrize("name", ASKED)
def test_an_entry_that_is_left_out_is_missed(name: str) -> None:
    """Something needs each entry that Linux installs, so a file without it is found incomplete."""
    entries, metadata = pins(name), recorded_metadata()
    everywhere = supported_environments()
    unmissed = [
        left_out.name
        for left_out in entries
        if any(left_out.applies(where) for where in everywhere)
        and not any(
            unmet(ASKED[name], [each for each in entries if each != left_out], metadata, where)
            for where in everywhere
        )
    ]
    assert unmissed == []


def package(*requires: str, python: str = "") -> Metadata:
    return {"requires_python": python, "requires_dist": list(requires)}


@pytest.mark.parametrize(
    ("needs", "entries", "python", "fault"),
    [
        (package("lib"), ["app==1"], "3.11", "app needs lib"),
        (package("lib>=2"), ["app==1", "lib==1"], "3.11", "app needs lib>=2"),
        (package("lib[fast]"), ["app==1", "lib==1"], "3.11", "app needs lib[fast]"),
        (
            package('lib; extra == "toml"'),
            ["app[toml]==1"],
            "3.11",
            'app needs lib; extra == "toml"',
        ),
        (
            package('lib; python_version < "3.12"'),
            ["app==1", 'lib==1; python_version >= "3.12"'],
            "3.11",
            'app needs lib; python_version < "3.12"',
        ),
        (package(python="<3.13"), ["app==1"], "3.13", "app 1 needs Python <3.13"),
        (package(), ["app==1", "app==1"], "3.11", "app has two entries"),
        (package(), ["lib==1"], "3.11", "pyproject.toml needs app"),
    ],
)
def test_what_is_missing_is_named(
    needs: Metadata, entries: list[str], python: str, fault: str
) -> None:
    """A dependency that is absent, too old, without its extra or only on other Pythons."""
    metadata = {"app==1": needs, "lib==1": package(), "lib==2": package()}
    given = [Pin(Requirement(each)) for each in entries]
    assert unmet(["app"], given, metadata, environment(python)) == [fault]


def test_a_package_without_its_extra_is_missed() -> None:
    """Otherwise pip, where it resolves, looks for the extra in the newest version."""
    stripped = [
        Pin(Requirement(f"{pin.name}=={pin.version}")) if pin.name == "coverage" else pin
        for pin in pins("dev")
    ]
    faults = unmet(ASKED["dev"], stripped, recorded_metadata(), environment("3.11"))
    assert any(fault.startswith("pytest-cov needs coverage[toml]") for fault in faults)


def test_what_is_installed_needs_what_is_recorded() -> None:
    """The record agrees with the metadata of the pinned packages in this environment."""
    metadata = recorded_metadata()
    installed = {
        pin: distribution
        for pin in pins("dev")
        for distribution in importlib.metadata.distributions(name=pin.name)
        if distribution.version == pin.version
    }
    assert installed
    assert {pin.name: sorted(each.requires or []) for pin, each in installed.items()} == {
        pin.name: metadata[f"{pin.name}=={pin.version}"]["requires_dist"] for pin in installed
    }


def test_nothing_is_recorded_that_is_not_pinned() -> None:
    """The record is that of the files as they are."""
    pinned = {f"{pin.name}=={pin.version}" for name in ASKED for pin in pins(name)}
    assert recorded_metadata().keys() - pinned == set()


def test_tests_run_on_the_versions_that_the_image_has() -> None:
    """What both files pin, they pin to the same version."""
    development = versions("dev")
    assert {name: development[name] for name in versions("run")} == versions("run")


def test_what_would_slow_the_agent_down_is_not_installed() -> None:
    """betterproto2 imports pydantic wherever it finds it, at the price of memory and start time."""
    assert "pydantic" not in versions("run")
