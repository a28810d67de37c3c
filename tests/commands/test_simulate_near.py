"""`numa-trio simulate` with resources that are named by what they are near, with the real agent."""

import argparse
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from numa_trio.cli import main
from numa_trio.commands.simulate_options import add_arguments
from numa_trio.commands.simulate_plan import read_setup

PAGE = (Path(__file__).parents[2] / "docs/simulate.md").read_text()
SHOWN = re.search(
    r"```sh\nnuma-trio simulate --scenario wired\n```\n\n```text\n(.*?)```", PAGE, re.DOTALL
)

# A RAID over two of three nodes: either suits.
MACHINE = """
nodes:
  - {id: 0, cpus: 0-3, memory: 4Gi}
  - {id: 1, cpus: 4-5, memory: 4Gi}
  - {id: 2, cpus: 6-7, memory: 4Gi}
disks:
  nvme0n1: {node: 1}
  nvme1n1: {node: 2}
  md0: {members: [nvme0n1, nvme1n1], mount: /var/lib/elasticsearch}
interfaces:
  eth2: {node: 2}
"""


@pytest.fixture(autouse=True)
def own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("NUMA_")]:
        monkeypatch.delenv(name)


def manifest(name: str, *near: str, cpu: int = 1) -> str:
    slots = {f"numa-align/near-{each}": 1 for each in near}
    app = {"name": "app", "resources": {"limits": {"cpu": cpu, "memory": "128Mi", **slots}}}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}}
    return json.dumps({**pod, "spec": {"containers": [app]}})


def test_page_shows_what_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    """Two agents on two servers: docs/simulate.md has what comes of the scenario wired."""
    assert SHOWN

    assert main(["simulate", "--scenario", "wired"]) == 0

    seen = capsys.readouterr()
    assert [line.rstrip() for line in seen.out.splitlines()] == SHOWN[1].splitlines()
    assert "server-a: by-disk: Running" in seen.err
    assert "server-b: by-number: Running" in seen.err


def test_pods_near_things(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Any node of a disk on several suits a pod, also over a restart of kubelet."""
    machine, pods = tmp_path / "own.yaml", tmp_path / "pods.yaml"
    machine.write_text(MACHINE)
    documents = [
        manifest("first", "data", cpu=2),
        manifest("second", "data", "net"),
        manifest("third", "data", cpu=2),
        manifest("absent", "gone"),
    ]
    pods.write_text("\n---\n".join(documents))
    monkeypatch.setenv("NUMA_ENV", "full")
    monkeypatch.setenv("NUMA_NEAR", "data=/var/lib/elasticsearch")
    near = ["--near", "net=eth2", "--near", "gone=eth9"]
    near += ["--expect", "third=refused", "--expect", "absent=pending"]
    files = ["--machine", str(machine), "--pod", str(pods), "--reserved-system-cpus", "0"]

    assert main(["simulate", "--admit-again", "0.5", "--output", "json", *near, *files]) == 0

    seen = capsys.readouterr()
    document: dict[str, Any] = json.loads(seen.out)
    assert document["near"] == [
        {"resource": "numa-align/near-data", "numa_nodes": [1, 2]},
        {"resource": "numa-align/near-net", "numa_nodes": [2]},
    ]
    assert "near-gone is not offered: there is no block device, network interface" in seen.err
    first, second, third, absent = document["rounds"][1]["pods"]
    told = [pod["containers"][0]["environment"] for pod in (first, second)]
    assert [each["NUMA_NODE"] for each in told] == ["1-2", "1-2"]
    assert told[0]["NUMA_HOST_NODE_DISKS"] == "nvme0n1,nvme1n1"
    assert [pod["containers"][0]["numa_nodes"] for pod in (first, second)] == [[1], [2]]
    assert third["reason"] == "TopologyAffinityError"
    assert absent["message"] == "0/1 nodes are available: 1 Insufficient numa-align/near-gone."


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--near", "data"], "'data': expected name=target"),
        (["--near", "data=nvme0n1", "--near", "data=eth2"], "expected one target for data"),
        (["--scenario", "wired", "--near", "a=sda"], "brings its own disk and name"),
        (["--scenario", "wired", "--pod", "mine.yaml"], "brings its own pods"),
        (["--scenario", "wired", "--reserved-cpus", "2"], "needs a NUMA node with two CPUs"),
    ],
)
def test_names_that_cannot_be(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bad names, and what does not go with the scenario, are named, with status 2."""
    assert main(["simulate", *arguments]) == 2

    seen = capsys.readouterr()
    assert (message in seen.err, seen.out) == (True, "")


def test_the_machines_own_runtime_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """On a server whose agent pins by the runtime, a simulation must not move real containers."""
    monkeypatch.setenv("NUMA_NRI", "cpus,mems")
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    assert read_setup(parser.parse_args([])).variables["NUMA_NRI"] == "off"
