"""The package as a service of the host, under Debian's systemd, over reboots of the machine.

One virtual machine is booted three times by its own `systemctl reboot`, for all tests of this file.
Kubelet's stand-in is its kubelet.service.
"""

import pytest

from infra.host_service_facts import (
    RESOURCES,
    journals,
    last_life,
    longest_away,
    moment,
    seconds,
)
from infra.host_service_image import LAYOUT, NEWER_VERSION
from infra.observing import Observations

pytestmark = pytest.mark.slow

SLOTS = 100
PODS = {"on-0": 0, "on-1": 1, "initialised-on-1": 1}

WATCHDOG_SECONDS = 5  # scenario.py lowers it for the agent that is stopped
BACK_SECONDS = 30  # for an agent that was ended; 4 on an idle machine, most of it Python's start

RESTARTED = ("kubelet restarted", "agent and kubelet restarted", "both restarted at once")
SECOND_BOOT = (
    *("rebooted", *RESTARTED, "agent restarted", "killed", "stopped"),
    *("upgraded", "directory removed"),
)


def test_the_machine_came_to_its_end(host_service: Observations) -> None:
    """No wait ran out, and each boot came to its end, the last one by switching off."""
    assert host_service.all("waited in vain") == []
    assert [(fact["number"], fact["then"]) for fact in host_service.all("ended")] == [
        (0, "reboot"),
        (1, "reboot"),
        (2, "poweroff"),
    ]


def test_install_enables_and_starts_it(host_service: Observations) -> None:
    """Beside a kubelet that runs already, and pods get their node's name and a CPU of it."""
    installed = moment(host_service, "installed")
    assert installed["agent"]["ActiveState"] == "active"
    for name, node in PODS.items():
        status = installed["pods"][name]
        assert (status["phase"], status["restarts"]) == ("Running", 0)
        assert {each["NUMA_NODE"] for each in status["environment"]} == {str(node)}
        assert LAYOUT.cpus_of(node).issuperset(cpu for cpus in status["cpus"] for cpu in cpus)


@pytest.mark.parametrize("name", ["rebooted", "rebooted again"])
def test_after_a_reboot_it_is_registered_before_pods_are_admitted(
    host_service: Observations, name: str
) -> None:
    """Systemd starts kubelet once the agent watches, and it registers as soon as it can."""
    fact = moment(host_service, name)
    life = last_life(fact)
    (listens,) = life.times("kubelet listens")
    assert not life.lines[0]["containers_run"]
    watches = seconds(fact["agent"]["ActiveEnterTimestampMonotonic"])
    assert watches <= seconds(fact["kubelet_unit"]["ExecMainStartTimestampMonotonic"]) < listens
    admitted = life.times("pod admitted")
    assert len(admitted) == len(PODS)
    assert listens < life.registered < min(admitted)


@pytest.mark.parametrize(
    ("name", "restarts"),
    [*((name, 1) for name in SECOND_BOOT), ("rebooted again", 2)],
)
def test_no_pod_is_lost(host_service: Observations, name: str, restarts: int) -> None:
    """Every pod runs on, and is started again by a reboot alone."""
    pods = moment(host_service, name)["pods"]
    assert {
        pod: (status["phase"], status["restarts"]) for pod, status in pods.items()
    } == dict.fromkeys(PODS, ("Running", restarts))


@pytest.mark.parametrize("name", SECOND_BOOT)
def test_every_slot_is_there_again(host_service: Observations, name: str) -> None:
    """After whatever was done to kubelet or the agent."""
    told = [line for line in moment(host_service, name)["kubelet"] if line["fact"] == "allocatable"]
    assert told[-1]["resources"] == dict.fromkeys(RESOURCES, SLOTS)


@pytest.mark.parametrize("name", RESTARTED)
def test_kubelet_is_restarted_before_with_or_after_the_agent(
    host_service: Observations, name: str
) -> None:
    """The agent has registered with the new kubelet when that admits the pods as they run."""
    life = last_life(moment(host_service, name))
    assert life.lines[0]["containers_run"]
    assert life.registered < min(life.times("running pod admitted again"))
    assert life.times("running pod rejected and killed", "pod rejected") == []


@pytest.mark.parametrize(("name", "waits"), [("killed", 0), ("stopped", WATCHDOG_SECONDS)])
def test_an_agent_that_ends_or_hangs_is_started_anew(
    host_service: Observations, name: str, waits: float
) -> None:
    """At once, or when it was not heard of for the time of its watchdog."""
    (signal,) = (fact for fact in host_service.all("signal") if fact["name"] == name)
    back = moment(host_service, name)["kubelet"][-1]
    assert back["resources"] == dict.fromkeys(RESOURCES, SLOTS)
    assert back["at"] - signal["at"] < waits + BACK_SECONDS


def test_the_watchdog_ended_the_one_that_hung(host_service: Observations) -> None:
    """By the words of systemd."""
    (journal,) = journals(host_service, 1, "numa-trio.service")
    assert sum(f"Watchdog timeout (limit {WATCHDOG_SECONDS}s)" in line for line in journal) == 1
    assert sum("Failed with result 'watchdog'" in line for line in journal) == 1


def test_an_upgrade_hands_over(host_service: Observations) -> None:
    """The resources are away for a fraction of the time that a start of the agent takes."""
    old, new = host_service.all("dpkg")
    assert (old["status"], new["status"]) == (0, 0)
    assert f"({NEWER_VERSION})" in new["said"]
    upgraded = moment(host_service, "upgraded")
    assert longest_away(upgraded) < longest_away(moment(host_service, "killed")) / 2
    assert upgraded["handover"]["ActiveState"] == "inactive"


def test_a_directory_that_is_made_anew_is_found(host_service: Observations) -> None:
    """The mount of the unit leads to the old one: the agent ends and is started in the new one."""
    upgraded, removed = (
        moment(host_service, name)["agent"] for name in ("upgraded", "directory removed")
    )
    assert int(removed["NRestarts"]) == int(upgraded["NRestarts"]) + 1
    assert removed["ExecMainStatus"] == "0"


def test_settings_that_cannot_be_used_do_not_keep_kubelet_from_starting(
    host_service: Observations,
) -> None:
    """The unit fails with status 2, is not started again, and kubelet, ordered after it, runs."""
    bad = host_service.one("bad settings")
    assert bad["agent"]["ActiveState"] == "failed"
    assert (bad["agent"]["ExecMainStatus"], bad["agent"]["NRestarts"]) == ("2", "0")
    assert bad["kubelet"]["ActiveState"] == "active"
    (journal,) = journals(host_service, 2, "numa-trio.service")
    assert any("NUMA_CAPACITY='many': expected" in line for line in journal)


def test_without_it_the_same_pods_are_lost(host_service: Observations) -> None:
    """An agent that starts once kubelet has admitted it, as a DaemonSet's, comes too late."""
    fact = moment(host_service, "agent after kubelet")
    life = last_life(fact)
    refused = life.times("pod rejected")
    assert len(refused) == len(PODS)
    assert max(refused) < life.registered
    for name, node in PODS.items():
        status = fact["pods"][name]
        assert (status["phase"], status["reason"]) == ("Failed", "UnexpectedAdmissionError")
        assert (
            f"no healthy devices present; cannot allocate unhealthy devices numa-align/numa-{node}"
            in (status["message"])
        )
