"""The Debian package: installed, upgraded, removed and purged on a Debian with Python."""

import subprocess
from pathlib import Path

import pytest

import numa_trio
from packages.build import build_deb, output_of
from packages.conftest import told

pytestmark = pytest.mark.slow

NEWER = "99.0.0-rc.1"
SETTINGS = "etc/numa-trio/numa-trio.env"

# What an upgrade does with a service that does not run; one that hangs or fails again and again is
# to have the new version at once, and one that was stopped is to stay so.
RESTART = ["restart numa-trio.service"]
UPGRADED = {"failed": RESTART, "activating": RESTART, "inactive": []}
WANTS = "etc/systemd/system/multi-user.target.wants"


@pytest.fixture(scope="module")
def deb(pyz: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_deb(pyz, tmp_path_factory.mktemp("deb"))


def dpkg(root: Path, *arguments: str) -> str:
    return output_of("chroot", root, "dpkg", *arguments, DEBIAN_FRONTEND="noninteractive")


def install(root: Path, deb: Path) -> None:
    (root / "package.deb").write_bytes(deb.read_bytes())
    dpkg(root, "--install", "/package.deb")


def wanted(root: Path) -> set[str]:
    """What is started at boot."""
    return {path.name for path in (root / WANTS).glob("numa-trio*")}


def test_lintian_finds_nothing(deb: Path) -> None:
    """Neither an error nor a warning."""
    done = subprocess.run(
        ["lintian", "--allow-root", "--fail-on", "error,warning", deb],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, ""), done.stderr


def test_built_again_it_is_the_same(deb: Path, pyz: Path, tmp_path: Path) -> None:
    """The same numa-trio.pyz and the same commit give the same bytes."""
    again = build_deb(pyz, tmp_path)
    assert again.name == deb.name == f"numa-trio_{numa_trio.__version__}_all.deb"
    assert again.read_bytes() == deb.read_bytes()


def test_installed_upgraded_removed_and_purged(
    server: Path, deb: Path, pyz: Path, tmp_path: Path
) -> None:
    """Units are enabled and started, changed settings stay, an upgrade hands over."""
    before = set(server.rglob("*numa-trio*"))
    with told(server) as calls:
        install(server, deb)
    assert [call for call in calls if "memory-state" in call] == []
    assert calls[0] == "--system daemon-reload"
    assert calls[-1].split()[-2:] == ["start", "numa-trio.service"]
    assert wanted(server) == {"numa-trio.service", "numa-trio-memory-state.service"}
    said = output_of("chroot", server, "env", "-i", "PATH=/usr/bin", "numa-trio", "--version")
    assert said == f"numa-trio {numa_trio.__version__}"

    settings = server / SETTINGS
    settings.write_text(settings.read_text() + "NUMA_CAPACITY=7\n")
    newer = build_deb(pyz, tmp_path, NEWER)
    with told(server) as calls:
        install(server, newer)
    assert dpkg(server, "--status", "numa-trio").count("\nVersion: 99.0.0~rc.1\n") == 1
    assert calls == [
        "--system daemon-reload",
        "restart numa-trio-handover.service",
        "restart numa-trio.service",
        "stop numa-trio-handover.service",
    ]
    assert settings.read_text().endswith("NUMA_CAPACITY=7\n")

    for state, call in UPGRADED.items():
        (server / "is-active").write_text(state)
        with told(server) as calls:
            install(server, newer)
        assert calls[0] == "--system daemon-reload"
        assert [" ".join(each.split()[-2:]) for each in calls[1:]] == call, state
    (server / "is-active").unlink()

    with told(server) as calls:
        dpkg(server, "--remove", "numa-trio")
    assert calls[0].split()[-3:] == ["stop", "numa-trio-handover.service", "numa-trio.service"]
    assert {call.split()[-1] for call in calls[1:]} == {"daemon-reload"}
    assert wanted(server) == set()
    assert settings.exists()

    with told(server) as calls:
        install(server, newer)  # it is started again, as it is new to the server
    assert calls[-1].split()[-2:] == ["start", "numa-trio.service"]
    dpkg(server, "--purge", "numa-trio")
    (server / "package.deb").unlink()
    assert set(server.rglob("*numa-trio*")) == before
