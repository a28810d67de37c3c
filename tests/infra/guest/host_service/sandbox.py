"""What the agent's service may do: what the kernel says of its process, and what a probe can do.

The probe is a service with all settings of the agent's, but another program.
"""

import json
import subprocess
from pathlib import Path

from probe import RESULT
from systemd import AGENT, process_of, systemctl
from telling import tell

PROBE = Path("/etc/systemd/system/probe.service")
PROGRAM = Path(__file__).with_name("probe.py")


def tell_security(unit: str) -> None:
    """Print what `systemd-analyze security` makes of the unit, on this systemd."""
    words = ["systemd-analyze", "security", "--no-pager", unit]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    version = subprocess.run(["systemctl", "--version"], capture_output=True, text=True, check=True)
    tell("security", unit=unit, text=done.stdout, errors=done.stderr, systemd=version.stdout)


def tell_process() -> None:
    """Print what the kernel says of the agent's process and of its mounts."""
    process = Path(f"/proc/{process_of(AGENT)}")
    status = dict(line.split(":\t", 1) for line in (process / "status").read_text().splitlines())
    wanted = ("CapEff", "CapPrm", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Uid")
    mounts = [line.split() for line in (process / "mountinfo").read_text().splitlines()]
    writable = sorted(words[4] for words in mounts if "rw" in words[5].split(","))
    tell("process", **{name: status[name].strip() for name in wanted}, writable=writable)


def tell_probe() -> None:
    """Print what a process can do in a service with the agent's settings."""
    unit = subprocess.run(["systemctl", "cat", AGENT], capture_output=True, text=True, check=True)
    dropped = ("ExecStart=", "Type=", "WatchdogSec=", "Restart=", "[Install]", "WantedBy=")
    lines = [line for line in unit.stdout.splitlines() if not line.startswith(dropped)]
    program = ["[Service]", "Type=oneshot", f"ExecStart=/usr/bin/python3 {PROGRAM}", ""]
    PROBE.write_text("\n".join([*lines, *program]))
    systemctl("daemon-reload")
    systemctl("start", PROBE.name)
    tell("probe", attempts=json.loads(RESULT.read_text()))
    RESULT.unlink()
