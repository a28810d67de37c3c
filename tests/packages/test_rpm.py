"""The RPM: installed, upgraded and removed, with its scripts run in the root of a server."""

from pathlib import Path

import pytest

import numa_trio
from packages.build import ROOT, build_rpm, output_of
from packages.conftest import told

pytestmark = pytest.mark.slow

SETTINGS = "etc/numa-trio/numa-trio.env"
ENABLED = "numa-trio.service numa-trio-memory-state.service"


@pytest.fixture(scope="module")
def package(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_rpm(pyz, tmp_path_factory.mktemp("rpm"))


def rpm(root: Path, *arguments: str | Path) -> None:
    """Run rpm on that root; its dependencies are Debian packages there."""
    output_of("rpm", "--root", root, "--nodeps", *arguments)


def test_asks_for_a_python_that_can_run_it(package: Path) -> None:
    """By what an interpreter provides, as its package has another name everywhere."""
    needed = output_of("rpm", "--query", "--requires", "--package", package).splitlines()
    assert "(python(abi) = 3.11 or python(abi) = 3.12 or python(abi) = 3.13)" in needed
    assert "systemd" in needed


def test_rpmlint_finds_nothing(package: Path) -> None:
    """Neither an error nor a warning but those that are meant to be so."""
    said = output_of("rpmlint", "--config", ROOT / "deploy/packages/rpm/rpmlint.toml", package)
    assert " 0 errors, 0 warnings" in said, said


def test_built_again_it_is_the_same(package: Path, pyz: Path, tmp_path: Path) -> None:
    """The same numa-trio.pyz and the same commit give the same bytes."""
    again = build_rpm(pyz, tmp_path)
    assert again.name == package.name == f"numa-trio-{numa_trio.__version__}-1.noarch.rpm"
    assert again.read_bytes() == package.read_bytes()


def test_installed_upgraded_and_removed(
    server: Path, package: Path, pyz: Path, tmp_path: Path
) -> None:
    """Units are enabled and started, changed settings stay, an upgrade hands over."""
    with told(server) as calls:
        rpm(server, "--install", package)
    assert calls == [f"enable {ENABLED}", "daemon-reload", "start numa-trio.service"]
    assert output_of("chroot", server, "numa-trio", "--version").startswith("numa-trio ")

    settings = server / SETTINGS
    settings.write_text(settings.read_text() + "NUMA_CAPACITY=7\n")
    with told(server) as calls:
        rpm(server, "--upgrade", build_rpm(pyz, tmp_path, "99.0.0-rc.1"))
    assert calls == [
        "daemon-reload",
        "restart numa-trio-handover.service",
        "restart numa-trio.service",
        "stop numa-trio-handover.service",
    ]
    assert settings.read_text().endswith("NUMA_CAPACITY=7\n")

    with told(server) as calls:
        rpm(server, "--erase", "numa-trio")
    assert calls == [
        "stop numa-trio-handover.service numa-trio.service",
        f"disable {ENABLED}",
        "daemon-reload",
    ]
    assert not (server / "usr/lib/numa-trio").exists()
    # What somebody has changed is kept, under another name.
    assert (server / f"{SETTINGS}.rpmsave").read_text().endswith("NUMA_CAPACITY=7\n")
