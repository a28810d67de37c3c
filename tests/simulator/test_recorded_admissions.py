"""The simulator's managers beside a recording of kubelet's own: the same pods, the same answers."""

import json
from pathlib import Path

import pytest
from recorded_admissions import OWN_RECORDING, Recorded, Replay, legible, names_the_place, recorded

from numa_trio.simulator.kubelet_config import KubeletWillNotStart
from numa_trio.topology.lists import format_list

CASES = recorded("cases")
RESTARTS = recorded("restarts")


@pytest.mark.parametrize("case", CASES, ids=[case["id"] for case in CASES])
async def test_answers_as_kubelet_did(case: Recorded, tmp_path: Path) -> None:
    """Every field of every recorded answer comes out the same, operation by operation."""
    answers = case["answers"]
    if "error" in answers:
        with pytest.raises(KubeletWillNotStart):
            Replay.of(case, tmp_path)
        return
    replay = Replay.of(case, tmp_path)
    node = replay.node

    assert format_list(node.cpus.reserved) == answers["reserved"]
    assert node.allocatable() == answers["allocatable"]
    for operation, expected in zip(case["ops"], answers["ops"], strict=True):
        answer = await replay.answer(operation)
        if "invalid" in expected:
            assert names_the_place(answer.pop("invalid", "accepted"), expected["invalid"])
            expected = {k: v for k, v in expected.items() if k not in {"invalid", "qos"}}
        assert answer == legible(expected)


@pytest.mark.parametrize("registered", [False, True], ids=["plugins after", "plugins before"])
@pytest.mark.parametrize("case", RESTARTS, ids=[case["id"] for case in RESTARTS])
async def test_admits_again_as_kubelet_did(
    case: Recorded, registered: bool, tmp_path: Path
) -> None:
    """After a restart, the same running pods are admitted again, or refused in the same words."""
    expected = case["readmitted"]["plugins_before" if registered else "plugins_after"]
    replay = Replay.of(case, tmp_path)
    for operation in case["ops"]:
        await replay.answer(operation)

    again = await replay.readmit(registered=registered)

    assert again == [answer for answer in expected if answer["name"]]  # the first is the restart


def test_recording_is_whole() -> None:
    """The recording in the repository has all its cases and restarts."""
    own = json.loads(OWN_RECORDING.read_text(encoding="utf-8"))

    assert (len(own["cases"]), len(own["restarts"])) == (180, 20)
