"""Runs at each boot of the machine, after all else: what is done to kubelet and the agent.

It judges nothing: the tests on the host do. Facts go to the second serial port.
"""

import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

sys.path.append("/guest")

import api_server
import memory_state
import sandbox
from kubelet_journal import KubeletJournal, pods_are_reported
from kubelet_service import CONTAINERS, DEVICE_PLUGINS
from systemd import (
    AGENT,
    HANDOVER,
    KUBELET,
    PATIENCE,
    WaitedInVain,
    journal_of,
    process_of,
    properties,
    systemctl,
    wait_for_new_process,
)
from telling import tell

BOOTS = Path("/var/lib/boots")
SETTINGS = Path("/etc/numa-trio/numa-trio.env")
WATCHDOG = Path("/etc/systemd/system/numa-trio.service.d/watchdog.conf")
WATCHDOG_SECONDS = 5

PODS = {
    "on-0": ("numa-align/numa-0", False),
    "on-1": ("numa-align/numa-1", False),
    "initialised-on-1": ("numa-align/numa-1", True),
}

journal = KubeletJournal()


def tell_moment(moment: str) -> None:
    """Print what kubelet did, and when systemd started it and the agent."""
    units = {"agent": AGENT, "kubelet_unit": KUBELET, "handover": HANDOVER}
    journal.tell(moment, **{name: _times(unit) for name, unit in units.items()})


def _times(unit: str) -> dict[str, str]:
    shown = properties(unit)
    names = ("ActiveState", "Result", "NRestarts", "ExecMainStatus", "StatusText")
    times = ("ActiveEnterTimestampMonotonic", "ExecMainStartTimestampMonotonic")
    return {name: shown.get(name, "") for name in (*names, *times)}


def first_boot() -> None:
    """Kubelet runs already when the agent is installed and pods are created."""
    journal.wait("kubelet", lambda lines: any(x["fact"] == "kubelet listens" for x in lines))
    install("/packages/old.deb")
    journal.wait_for_agent()
    for name, (resource, in_init_container) in PODS.items():
        api_server.create(name, resource, in_init_container=in_init_container)
    journal.wait("verdicts on the pods", lambda _: pods_are_reported(*PODS))
    tell_moment("installed")
    memory_state.tell_file("before the reboot")


def second_boot() -> None:
    """All that can happen to either of the two while the machine runs."""
    journal.wait_for_agent()
    sandbox.tell_security(AGENT)
    sandbox.tell_process()
    sandbox.tell_probe()
    journal.wait_for_start()
    tell_moment("rebooted")
    memory_state.tell_file("rebooted")
    restart_kubelet_then_agent()
    restart_agent_then_kubelet()
    restart_at_once()
    kill_and_stop_agent()
    install("/packages/new.deb")
    journal.wait_for_agent()
    tell_moment("upgraded")
    remove_directory()
    start_kubelet_of_another_machine()


def third_boot() -> None:
    """The same reboot again, and a start with settings that cannot be used."""
    journal.wait_for_start()
    tell_moment("rebooted again")
    memory_state.tell_file("rebooted again")
    start_with_bad_settings()


def install(package: str) -> None:
    """Install a package, or its newer version."""
    began = time.monotonic()
    done = subprocess.run(["dpkg", "--install", package], capture_output=True, text=True)
    took = time.monotonic() - began
    tell(
        "dpkg",
        package=package,
        status=done.returncode,
        seconds=took,
        said=done.stdout + done.stderr,
    )


def restart_kubelet_then_agent() -> None:
    """The agent once the new kubelet has admitted the pods: they need none until then."""
    systemctl("restart", KUBELET)
    journal.wait_for_start()
    tell_moment("kubelet restarted")
    systemctl("restart", AGENT)
    journal.wait_for_agent()
    tell_moment("agent restarted")


def restart_agent_then_kubelet() -> None:
    """Kubelet as soon as the new agent watches, which is before it has registered."""
    systemctl("restart", AGENT)
    systemctl("restart", KUBELET)
    journal.wait_for_start()
    tell_moment("agent and kubelet restarted")


def restart_at_once() -> None:
    """Restart both with one command: systemd goes by their order."""
    systemctl("restart", AGENT, KUBELET)
    journal.wait_for_start()
    tell_moment("both restarted at once")


def kill_and_stop_agent() -> None:
    """The agent that is started after the first has a watchdog of seconds, to hang after that."""
    WATCHDOG.parent.mkdir()
    WATCHDOG.write_text(f"[Service]\nWatchdogSec={WATCHDOG_SECONDS}\n")
    systemctl("daemon-reload")
    end_agent("killed", signal.SIGKILL)
    end_agent("stopped", signal.SIGSTOP)
    WATCHDOG.unlink()


def end_agent(how: str, with_signal: signal.Signals) -> None:
    """Send the agent a signal, and wait until another one is there."""
    old = process_of(AGENT)
    tell("signal", name=how, at=time.monotonic())
    os.kill(old, with_signal)
    wait_for_new_process(AGENT, old)
    journal.wait_for_agent()
    tell_moment(how)


def remove_directory() -> None:
    """What `kubeadm reset` does to the directory, and kubelet after it."""
    systemctl("stop", KUBELET)
    subprocess.run(["rm", "-rf", DEVICE_PLUGINS], check=True)
    systemctl("start", KUBELET)
    journal.wait_for_agent()
    tell_moment("directory removed")


def start_kubelet_of_another_machine() -> None:
    """It must not start with a state of other memory: so nothing but the unit helps at a boot."""
    systemctl("stop", KUBELET)
    memory_state.change()
    systemctl("start", KUBELET)
    deadline = time.monotonic() + PATIENCE
    while (failed := properties(KUBELET))["ActiveState"] == "active":
        if time.monotonic() > deadline:
            raise WaitedInVain("kubelet with a state of another machine runs")
        time.sleep(0.1)
    tell("kubelet of another machine", kubelet=failed)


def start_with_bad_settings() -> None:
    """As at a boot: both are started together, and no container runs.

    The agent can only start when kubelet has admitted the pods, as that of a DaemonSet, which is
    one of them.
    """
    good = SETTINGS.read_text()
    systemctl("stop", KUBELET, AGENT)
    SETTINGS.write_text(f"{good}\nNUMA_CAPACITY=many\n")
    CONTAINERS.unlink()
    systemctl("start", AGENT, KUBELET)
    journal.wait("kubelet", lambda lines: any(x["fact"] == "admitted known pods" for x in lines))
    tell("bad settings", agent=properties(AGENT), kubelet=properties(KUBELET))
    SETTINGS.write_text(good)
    systemctl("start", AGENT)
    journal.wait_for_agent()
    tell_moment("agent after kubelet")


SCENARIOS: list[Callable[[], None]] = [first_boot, second_boot, third_boot]


def main() -> None:
    """Run the scenario of this boot; then reboot, or after the last one or a failure power off."""
    boot = int(BOOTS.read_text()) if BOOTS.exists() else 0
    BOOTS.write_text(str(boot + 1))
    tell("boot", number=boot)
    verb = "reboot" if boot + 1 < len(SCENARIOS) else "poweroff"
    try:
        SCENARIOS[boot]()
    except WaitedInVain as problem:
        verb = "poweroff"
        tell("waited in vain", of=str(problem))
    except Exception:  # noqa: BLE001  the test shows it
        verb = "poweroff"
        tell("waited in vain", of=traceback.format_exc())
    for unit in (AGENT, KUBELET):
        tell("journal", number=boot, unit=unit, lines=journal_of(unit))
    tell("ended", number=boot, then=verb)
    systemctl(verb)


if __name__ == "__main__":
    main()
