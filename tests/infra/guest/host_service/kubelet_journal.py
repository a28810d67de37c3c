"""What the driver reads of kubelet's journal: it waits for what it needs, and tells the rest."""

import json
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import api_server
from kubelet_service import JOURNAL
from systemd import PATIENCE, WaitedInVain
from telling import tell

Line: TypeAlias = dict[str, Any]

SLOTS = 100
RESOURCES = ("numa-align/numa-0", "numa-align/numa-1")
ALL_THERE = dict.fromkeys(RESOURCES, SLOTS)

_LOOK_AGAIN = 0.2  # seconds
# What the tests on the host look at; of the others there are many.
_TOLD = (
    *("started", "kubelet listens", "Register answered", "allocatable", "admitted known pods"),
    *("pod admitted", "pod rejected", "running pod admitted again"),
    *("running pod rejected and killed",),
)


class KubeletJournal:
    """The lines from where it was last told."""

    def __init__(self) -> None:
        self._told = 0

    def tell(self, moment: str, **details: Any) -> None:
        """Print what kubelet did since, and what has become of the pods."""
        lines = self.lines()
        self._told += len(lines)
        told = [line for line in lines if line["fact"] in _TOLD]
        tell("moment", moment=moment, kubelet=told, pods=api_server.statuses(), **details)

    def lines(self) -> list[Line]:
        """What is there now, from where it was last told; a line that is being written is not."""
        text = JOURNAL.read_text() if JOURNAL.exists() else ""
        whole = text[: text.rfind("\n") + 1].splitlines()
        return [json.loads(line) for line in whole[self._told :]]

    def wait(
        self, what: str, holds: Callable[[Sequence[Line]], bool], patience: float = PATIENCE
    ) -> None:
        """Wait until it holds of the lines, or raise `WaitedInVain`."""
        deadline = time.monotonic() + patience
        while not holds(self.lines()):
            if time.monotonic() > deadline:
                raise WaitedInVain(f"{what}; since then: {self.lines()[-20:]}")
            time.sleep(_LOOK_AGAIN)

    def wait_for_start(self, patience: float = PATIENCE) -> None:
        """Wait until kubelet has started anew, has admitted the known pods and has all slots."""
        self.wait("kubelet with all slots", _started_with_all_slots, patience)

    def wait_for_agent(self, patience: float = PATIENCE) -> None:
        """Wait until the agent has registered anew and all slots are there."""
        self.wait("an agent that has registered", _registered_with_all_slots, patience)


def pods_are_reported(*names: str) -> bool:
    """Whether kubelet has said what becomes of these pods."""
    return set(names) <= set(api_server.statuses())


def _started_with_all_slots(lines: Sequence[Line]) -> bool:
    admitted = [n for n, line in enumerate(lines) if line["fact"] == "admitted known pods"]
    started = [n for n, line in enumerate(lines) if line["fact"] == "started"]
    return bool(started and admitted) and started[-1] < admitted[-1] and _all_slots(lines)


def _registered_with_all_slots(lines: Sequence[Line]) -> bool:
    registered = {line["subject"] for line in lines if line["fact"] == "Register answered"}
    return registered.issuperset(RESOURCES) and _all_slots(lines)


def _all_slots(lines: Sequence[Line]) -> bool:
    told = [line["resources"] for line in lines if line["fact"] == "allocatable"]
    return bool(told) and told[-1] == ALL_THERE
