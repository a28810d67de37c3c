"""What is logged as a warning, and what as information."""

import logging
from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from agent.kubelet_fakes import advertise
from fault_rig import AT_ONCE, open_rig
from numa_trio.agent.advertised import AdvertisedResources
from numa_trio.agent.counts import Outcome
from numa_trio.agent.outages import warn_of_outages


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one.getMessage() for one in caplog.records if one.levelno >= logging.WARNING]


async def test_restart_of_kubelet_is_no_warning(
    tmp_path: Path, autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """Nor is a start before kubelet's: both are told, as information."""
    caplog.set_level(logging.INFO)
    async with open_rig(tmp_path) as rig:
        await rig.start_agent()
        await trio.sleep(5)
        await rig.kubelet.start()
        await rig.everything_allocatable(within=AT_ONCE)
        await rig.kubelet.stop()
        await trio.sleep(10)
        await rig.kubelet.start()
        await rig.everything_allocatable(within=AT_ONCE)
        assert "its stream ended" in caplog.text
        assert warnings(caplog) == []
        await rig.kubelet.stop()
        await trio.sleep(3600)
        assert len(warnings(caplog)) == 2
        assert all("has not been offered for 30 s: " in one for one in warnings(caplog))


async def test_each_outage_is_told_once(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """With the last trouble; the next outage is told anew."""
    resources = AdvertisedResources()
    advertised = advertise(1)
    resources.add(advertised)
    status = advertised.status
    async with trio.open_nursery() as nursery:
        nursery.start_soon(warn_of_outages, resources)
        for _ in range(2):
            status.serving_began()
            status.registration_accepted()
            status.streams_changed(1)
            await trio.sleep(100)
            status.streams_changed(0)
            status.registration_failed(Outcome.UNAVAILABLE, "kubelet cannot be reached")
            await trio.sleep(100)
        nursery.cancel_scope.cancel()
    assert (
        warnings(caplog)
        == ["numa-align/numa-1 has not been offered for 30 s: kubelet cannot be reached"] * 2
    )


async def test_refusal_is_a_warning_at_once(caplog: pytest.LogCaptureFixture) -> None:
    """Kubelet says no: that does not pass by itself."""
    advertise(1).status.registration_failed(Outcome.REFUSED, "kubelet refused: no")
    assert warnings(caplog) == ["numa-align/numa-1: kubelet refused: no"]
