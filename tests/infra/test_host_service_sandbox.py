"""What systemd and the kernel let the agent do as a service of the host, on Debian's systemd."""

import re

import pytest

from infra.observing import Observations

pytestmark = pytest.mark.slow

MOST_EXPOSED = 2.0  # of 10; the measure of systemd-analyze security
WRITABLE = {"/dev/pts", "/dev/shm", "/proc", "/tmp", "/var/tmp", "/var/lib/kubelet/device-plugins"}
ATTEMPTS = {
    "write to the device-plugin directory": "done",
    "write to kubelet's directory": "EROFS",
    "write to /etc": "EROFS",
    "write to /run": "EROFS",
    "write to /sys": "EROFS",
    "read /sys": "done",
    "read the mount table of PID 1": "done",
    "read the disk": "EPERM",
    "listen on port 9410": "done",
    "open a packet socket": "EAFNOSUPPORT",
    "hear of devices": "done",
    "give a file away": "EPERM",
    "make a namespace": "EPERM",
}


def test_systemd_finds_it_hardly_exposed(host_service: Observations) -> None:
    """By the measure of the machine's own systemd."""
    text = host_service.one("security")["text"]
    found = re.search(r"Overall exposure level for numa-trio\.service: ([\d.]+)", text)
    assert found, text
    assert float(found[1]) <= MOST_EXPOSED


def test_the_agent_has_no_capability_and_one_writable_directory(host_service: Observations) -> None:
    """As the kernel shows its process, and no system call that is not filtered."""
    process = host_service.one("process")
    sets = ("CapEff", "CapPrm", "CapBnd", "CapAmb")
    assert [int(process[name], 16) for name in sets] == [0] * len(sets)
    assert (process["NoNewPrivs"], process["Seccomp"]) == ("1", "2")
    assert set(process["writable"]) <= WRITABLE


@pytest.mark.parametrize(("attempt", "outcome"), ATTEMPTS.items())
def test_what_a_process_of_the_service_can_do(
    host_service: Observations, attempt: str, outcome: str
) -> None:
    """It may do what the agent needs, and the kernel refuses the rest."""
    assert host_service.one("probe")["attempts"][attempt] == outcome


def test_another_port_is_refused_where_systemd_can_refuse_it(host_service: Observations) -> None:
    """By a BPF program, for which Debian 12's systemd is not built; Debian 13's is."""
    expected = "EPERM" if "+BPF_FRAMEWORK" in host_service.one("security")["systemd"] else "done"
    assert host_service.one("probe")["attempts"]["listen on port 9411"] == expected
