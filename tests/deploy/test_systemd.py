"""The systemd units that are shipped."""

import configparser
import shutil
import subprocess
from pathlib import Path

import pytest

from e2e.pods import KUBELET_SERVICES

UNITS = Path(__file__).parents[2] / "deploy/systemd"
MEMORY_STATE = UNITS / "kubelet-memory-state.service"


class _Several(dict[str, str]):
    """A key that comes again adds a line, as systemd reads it."""

    def __setitem__(self, key: str, value: object) -> None:
        if isinstance(value, list) and isinstance(known := self.get(key), list):
            known.extend(value)
        else:
            super().__setitem__(key, value)  # type: ignore[assignment]


def read(unit: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser(dict_type=_Several, strict=False, delimiters=("=",))
    parser.optionxform = str  # type: ignore[assignment,method-assign]
    parser.read_string(unit.read_text())
    return parser


def test_memory_state_is_removed_before_each_kubelet_there_is() -> None:
    """Those that the end-to-end test knows to restart: before all, and while none of them runs."""
    unit = read(MEMORY_STATE)
    before = unit["Unit"]["Before"].split()
    assert sorted(before) == sorted(f"{service}.service" for service in KUBELET_SERVICES)
    condition = unit["Service"]["ExecCondition"]
    assert condition.startswith("/bin/sh -c '! systemctl is-active --quiet ")
    assert set(condition.rstrip("'").split()[6:]) == set(KUBELET_SERVICES)


def test_memory_state_is_removed_once_per_boot() -> None:
    """A mark in /run, which does not outlive the boot, is made last and looked for first."""
    unit = read(MEMORY_STATE)
    commands = unit["Service"]["ExecStart"].split("\n")
    mark = unit["Unit"]["ConditionPathExists"].removeprefix("!")
    assert mark.startswith("/run/")
    assert commands == ["/bin/rm -f /var/lib/kubelet/memory_manager_state", f"/bin/touch {mark}"]
    assert unit["Service"]["RemainAfterExit"] == "yes"
    assert "cpu_manager_state" not in MEMORY_STATE.read_text()


@pytest.mark.slow
@pytest.mark.parametrize("unit", sorted(UNITS.glob("*.service")), ids=lambda unit: unit.name)
def test_systemd_takes_it(unit: Path) -> None:
    """Systemd's own check finds nothing to say."""
    analyze = shutil.which("systemd-analyze")
    assert analyze, "this test needs systemd-analyze, of Debian's package systemd"
    found = subprocess.run(
        [analyze, "verify", "--man=no", "--recursive-errors=no", unit],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (found.returncode, found.stderr) == (0, "")
