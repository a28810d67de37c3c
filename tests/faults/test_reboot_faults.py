"""The server reboots: what kubelet makes of the pods beside the agent, in virtual time.

Every test is a row of the fault matrix in docs/reliability.md.
"""

from collections.abc import AsyncIterator, Sequence
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from fault_rig import Rig, open_rig
from numa_trio.simulator.admission import Verdict
from numa_trio.simulator.reboot import DAEMONSET_DELAY
from simulated import container, init, pod

PODS = (
    pod(container(numa=[1]), name="database"),
    pod(init("500m", [0]), container("app", "500m", [0]), name="prepared"),
    pod(container(cpu="500m"), name="web"),
)


@pytest.fixture
async def rebooted(tmp_path: Path) -> AsyncIterator[Rig]:
    """A server that ran the pods for an hour and went down, the agent too; nothing is up yet."""
    async with open_rig(tmp_path) as rig:
        await rig.settle()
        for each in PODS:
            assert (await rig.kubelet.admit(each)).admitted
        await rig.kubelet.reboot()
        await rig.agents.pop().stop()
        yield rig


def reasons(verdicts: Sequence[Verdict]) -> dict[str, str | None]:
    return {verdict.pod.name: verdict.reason for verdict in verdicts}


async def test_reboot_with_the_agent_as_a_service_of_the_host(
    autojump_clock: MockClock, rebooted: Rig, back: float
) -> None:
    """It watches before kubelet starts, whose dead socket lies there: each pod is started again."""
    kubelet = rebooted.kubelet
    await rebooted.start_agent()
    await trio.sleep(1)

    await kubelet.start()
    await rebooted.everything_allocatable(within=back)
    verdicts = await kubelet.admitted_again()

    assert reasons(verdicts) == dict.fromkeys(("database", "prepared", "web"))
    assert kubelet.node.restarts == {each.uid: 1 for each in PODS}


async def test_reboot_with_the_agent_as_a_daemonset(
    autojump_clock: MockClock, rebooted: Rig, back: float
) -> None:
    """It is started once kubelet has admitted the pods: those that ask for a slot have failed."""
    kubelet = rebooted.kubelet
    await kubelet.start()
    verdicts = await kubelet.admitted_again()
    await trio.sleep(DAEMONSET_DELAY)

    await rebooted.start_agent()
    await rebooted.everything_allocatable(within=back)

    refused = "UnexpectedAdmissionError"
    assert reasons(verdicts) == {"database": refused, "prepared": refused, "web": None}
    assert list(kubelet.node.pods) == [PODS[2].uid]
    assert (await kubelet.admit(pod(container(numa=[1]), name="made-anew"))).admitted
