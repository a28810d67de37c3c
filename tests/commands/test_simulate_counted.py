"""`numa-trio simulate` with counted resources, and its scenarios, with the real agent."""

import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from numa_trio.cli import main

README = (Path(__file__).parents[2] / "README.md").read_text()
COMMAND_AND_OUTPUT = r"```sh\n\S*numa-trio (simulate --scenario [^\n]*)\n```\n\n```text\n(.*?)```"
SHOWN = dict(re.findall(COMMAND_AND_OUTPUT, README, re.DOTALL))


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("NUMA_")]:
        monkeypatch.delenv(name)


def simulate(*arguments: str) -> int:
    # On a busy machine the stand-in, too, takes its time until it has every list.
    return main(["simulate", "--admit-again", "4", *arguments])


@pytest.mark.parametrize("counted", [[], ["--counted", "cpu"]], ids=["before", "after"])
def test_readme_shows_what_is_printed(
    counted: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    """The scenario overfull in README.md, before and after, is what the real agent makes of it."""
    command = ["simulate", "--scenario", "overfull", *counted]

    assert main(command) == 0

    seen = capsys.readouterr()
    lines = [line.rstrip() for line in seen.out.splitlines()]
    assert lines == SHOWN[" ".join(command)].splitlines()
    assert "replica-3: Pending" in seen.err if counted else "replica-3: Failed" in seen.err


def test_built_in_pods_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    """They ask for the counts, and what others take is counted too, also after the restart."""
    assert simulate("--counted", "cpu,memory", "--output", "json") == 0

    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (document["ok"], document["counted"]) == (True, ["cpu", "memory"])
    first, second = document["rounds"]
    pods = {pod["name"]: pod for pod in first["pods"]}
    (app,) = pods["on-numa-1"]["containers"]
    counts = {name: len(ids) for name, ids in app["devices"].items()}
    assert counts == dict.fromkeys(
        ["numa-align/numa-1", "numa-align/numa-1-cpu", "numa-align/numa-1-memory"], 1
    )
    message = pods["too-many-cpus"]["message"]
    assert message == "0/1 nodes are available: 1 Insufficient numa-align/numa-1-cpu."
    strangers = sum(
        len(container["devices"]) == 0 and container["exclusive"]
        for pod in pods.values()
        for container in pod["containers"]
    )
    assert strangers == 1  # the container metrics of an example
    near_the_disk = 3  # of that node, but not asked for by its number
    for each in (first, second):
        assert each["allocatable"]["numa-align/numa-0-cpu"] == 31 - strangers
        assert each["allocatable"]["numa-align/numa-1-cpu"] == 32 - near_the_disk


def test_stranger(capsys: pytest.CaptureFixture[str]) -> None:
    """After the agent's next look, pods wait for CPUs that a stranger has, until it leaves."""
    assert simulate("--scenario", "stranger", "--counted", "cpu,memory", "--output", "json") == 0

    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    assert (document["scenario"], document["ok"]) == ("stranger", True)
    steps = document["steps"]
    assert [{pod["name"]: pod["phase"] for pod in step["pods"]} for step in steps] == [
        {"stranger": "Running"},
        {"stranger": "Running", "aligned": "Pending"},
        {"stranger": "Deleted", "aligned": "Running"},
    ]
    cpus = [step["counted"]["numa-align/numa-1-cpu"] for step in steps]
    assert cpus == [{"allocatable": n, "capacity": 2} for n in (0, 0, 2)]
    stranger, aligned = steps[1]["pods"]
    assert [each["cpus"] for each in stranger["containers"]] == ["2-3"]
    assert aligned["message"] == "0/1 nodes are available: 1 Insufficient numa-align/numa-1-cpu."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--pod", "mine.yaml"], "--scenario overfull brings its own pods: leave out --pod"),
        (["--hold-agent", "1"], "--hold-agent is about a restart of kubelet"),
        (["--reserved-system-cpus", "0,2"], "no NUMA node of two-by-two has two CPUs"),
    ],
)
def test_scenario_that_cannot_be(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """What does not go with a scenario is named before anything is started, with status 2."""
    assert simulate("--scenario", "overfull", *arguments) == 2

    seen = capsys.readouterr()
    assert (message in seen.err, seen.out) == (True, "")
