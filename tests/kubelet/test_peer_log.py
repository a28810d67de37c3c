"""What peers can cause is logged within bounds, and nothing is left out without a count."""

import logging

import pytest
import trio
from trio.testing import MockClock

from numa_trio.kubelet.rpc.peer_log import PeerLog

log = logging.getLogger(__name__)


async def test_one_line_a_minute_of_each_kind(
    autojump_clock: MockClock, caplog: pytest.LogCaptureFixture
) -> None:
    """The next one says how many were left out since."""
    peers = PeerLog(log)
    for number in range(1, 601):
        assert peers.warn("nonsense", "Peer %d: %s", number, "100 %") is (number in (1, 601))
    assert peers.warn("stalled", "Stalled")
    await trio.sleep(59.9)
    assert not peers.warn("nonsense", "Peer %d", 601)
    await trio.sleep(0.2)
    assert peers.warn("nonsense", "Peer %d: %s", 602, "100 %")
    await trio.sleep(61)
    assert peers.warn("nonsense", "Peer %d", 603)
    assert caplog.messages == [
        "Peer 1: 100 %",
        "Stalled",
        "Peer 602: 100 % (600 more like the last one)",
        "Peer 603",
    ]


async def test_kinds_without_end_are_forgotten(autojump_clock: MockClock) -> None:
    """Memory is bounded, also where the kind is a text that others chose."""
    peers = PeerLog(log)
    for number in range(10_000):
        peers.warn(str(number), "One of many")
    assert len(peers._last) <= 100
