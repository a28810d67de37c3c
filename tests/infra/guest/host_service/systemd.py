"""What systemd does and knows of a service."""

import subprocess
import time

from telling import tell

PATIENCE = 180  # seconds; under emulation on a loaded machine a second is long

AGENT, KUBELET = "numa-trio.service", "kubelet.service"
HANDOVER = "numa-trio-handover.service"


class WaitedInVain(Exception):
    """Something did not come about; the message says what."""


def systemctl(*words: str) -> int:
    """Run systemctl and print how it went. Returns its exit status."""
    began = time.monotonic()
    done = subprocess.run(["systemctl", *words], capture_output=True, text=True, check=False)
    took = time.monotonic() - began
    tell("systemctl", words=words, status=done.returncode, seconds=took, errors=done.stderr)
    return done.returncode


def properties(unit: str) -> dict[str, str]:
    """All properties of a unit, as `systemctl show` prints them."""
    shown = subprocess.run(["systemctl", "show", unit], capture_output=True, text=True, check=True)
    return dict(line.split("=", 1) for line in shown.stdout.splitlines() if "=" in line)


def process_of(unit: str) -> int:
    """The main process of a service; 0 if there is none."""
    return int(properties(unit)["MainPID"])


def wait_for_new_process(unit: str, old: int) -> None:
    """Wait until a service is active with another process."""
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        now = properties(unit)
        if now["ActiveState"] == "active" and int(now["MainPID"]) not in (0, old):
            return
        time.sleep(0.1)
    raise WaitedInVain(f"{unit}: no other process than {old}")


def journal_of(unit: str) -> list[str]:
    """What a service said since the boot."""
    words = ["journalctl", "--boot", "--unit", unit, "--output", "cat", "--no-pager"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    return done.stdout.splitlines()
