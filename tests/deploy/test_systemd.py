"""The systemd units that are shipped."""

import configparser
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.manifests import REPOSITORY, root_directories
from deploy.memory_host import SCRIPT
from e2e.pods import KUBELET_SERVICES

UNITS = REPOSITORY / "deploy/systemd"
MEMORY_STATE = UNITS / "numa-trio-memory-state.service"
PAGE = REPOSITORY / "docs/memory-state.md"


class _Several(dict[str, str]):
    """A key that comes again adds a line, as systemd reads it."""

    def __setitem__(self, key: str, value: object) -> None:
        if isinstance(value, list) and isinstance(known := self.get(key), list):
            known.extend(value)
        else:
            super().__setitem__(key, value)  # type: ignore[assignment]


def read(text: str) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(dict_type=_Several, strict=False, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(text)
    return parser


def test_memory_state_is_looked_at_before_each_kubelet_there_is() -> None:
    """Those that the end-to-end test knows to restart."""
    before = read(MEMORY_STATE.read_text())["Unit"]["Before"].split()
    assert sorted(before) == sorted(f"{service}.service" for service in KUBELET_SERVICES)


def test_memory_state_is_looked_at_once_per_boot() -> None:
    """A mark in /run, which does not outlive the boot, is made last and looked for first."""
    unit = read(MEMORY_STATE.read_text())
    service = unit["Service"]
    mark = unit["Unit"]["ConditionPathExists"].removeprefix("!")
    # In a directory that systemd makes, and leaves when the unit stops.
    assert mark == f"/run/{service['RuntimeDirectory']}/done"
    assert service["RuntimeDirectoryPreserve"] == "yes"
    # The packages install the script there.
    assert service["ExecStart"] == "/bin/sh /usr/lib/numa-trio/memory-state"
    assert service["ExecStartPost"] == f"/bin/touch {mark}"
    assert service["RemainAfterExit"] == "yes"


def test_memory_state_may_write_where_each_distribution_has_the_file() -> None:
    """The script looks in each root directory of our table, mounted by then, and may write."""
    unit = read(MEMORY_STATE.read_text())
    (roots,) = re.findall(r"^ROOTS='(.*)'$", SCRIPT.read_text(), re.MULTILINE)
    assert set(roots.split()) == set(root_directories().values())
    assert unit["Unit"]["RequiresMountsFor"] == roots
    assert unit["Service"]["ReadWritePaths"].split() == [f"-{root}" for root in roots.split()]


def test_a_drop_in_names_another_root_directory_everywhere() -> None:
    """The page's example sets what the unit has for the usual directories, and what is read."""
    (text,) = re.findall(r"^```ini\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    drop_in, unit = read(text), read(MEMORY_STATE.read_text())
    root = drop_in["Unit"]["RequiresMountsFor"]
    assert drop_in["Service"]["Environment"] == f"KUBELET_ROOT={root}"
    assert drop_in["Service"]["ReadWritePaths"] == root
    for section in ("Unit", "Service"):
        assert set(drop_in[section]) - {"Environment"} <= set(unit[section])


@pytest.mark.slow
@pytest.mark.parametrize("unit", sorted(UNITS.glob("*.service")), ids=lambda unit: unit.name)
def test_systemd_takes_it(unit: Path, tmp_path: Path) -> None:
    """Systemd's own check finds nothing to say, and the unit is exposed little: 2.0 of 10.

    What only a package installs is replaced by a program that is there.
    """
    text = unit.read_text().replace("=/usr/bin/numa-trio ", "=/bin/true ")
    unit = tmp_path / unit.name
    unit.write_text(text)
    analyze = shutil.which("systemd-analyze")
    assert analyze, "this test needs systemd-analyze, of Debian's package systemd"
    found = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stderr) == (0, "")
    exposed = subprocess.run(
        [analyze, "security", "--offline=yes", "--no-pager", "--threshold=20", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert exposed.returncode == 0, exposed.stdout
