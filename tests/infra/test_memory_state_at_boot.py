"""What becomes of kubelet's memory_manager_state at a boot, by the unit of the package.

The virtual machine of test_host_service.py: its kubelet, a stand-in, writes the file and reads it.
"""

import pytest

from infra.host_service_facts import journals, moment, seconds
from infra.observing import Fact, Observations

pytestmark = pytest.mark.slow


def test_memory_state_of_the_same_machine_is_left_alone(host_service: Observations) -> None:
    """The kernel counts as many bytes as before: with `nokaslr` it does so at each boot."""
    before, after = (memory_state(host_service, name) for name in ("before the reboot", "rebooted"))
    assert (after["result"], after["active"]) == ("success", "active")
    assert totals(after) == totals(before)
    assert after["aside"] == []


def test_kubelet_does_not_start_with_the_memory_state_of_another_machine(
    host_service: Observations,
) -> None:
    """As a real one: so the next test is one of the unit."""
    kubelet = host_service.one("kubelet of another machine")["kubelet"]
    assert kubelet["ExecMainStatus"] == "1"
    (journal,) = journals(host_service, 1, "kubelet.service")
    assert any("the expected machine state is different from the real one" in x for x in journal)


def test_memory_state_of_another_machine_is_moved_aside_before_kubelet_starts(
    host_service: Observations,
) -> None:
    """4096 bytes more on one node suffice, and kubelet writes the file anew."""
    before, after = (memory_state(host_service, name) for name in ("rebooted", "rebooted again"))
    assert (after["result"], after["active"]) == ("success", "active")
    assert len(after["aside"]) == 1
    assert totals(after) == totals(before)
    kubelet = moment(host_service, "rebooted again")["kubelet_unit"]
    assert 0 < seconds(after["ended"]) <= seconds(kubelet["ExecMainStartTimestampMonotonic"])


def memory_state(host_service: Observations, name: str) -> Fact:
    """What was told of the file at a moment."""
    (fact,) = (each for each in host_service.all("memory state") if each["moment"] == name)
    return fact


def totals(memory: Fact) -> dict[str, int]:
    """The bytes of each NUMA node as the file has them."""
    return {node: state["memoryMap"]["memory"]["total"] for node, state in memory["file"].items()}
