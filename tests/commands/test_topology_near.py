"""`numa-trio topology`: the devices near each node, and what names stand for."""

import argparse
import json
import os
from pathlib import Path
from typing import Any

import pytest

from host_tree import HostTree
from numa_trio.commands import topology
from sysfs_tree import plant_nodes

DATA = "/var/lib/elasticsearch"


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HostTree:
    """The machine two-node-vm.yaml with its nodes, as the settings tell."""
    for name in list(os.environ):
        if name.startswith("NUMA_") or name in ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE"):
            monkeypatch.delenv(name)
    tree = HostTree.of_machine(tmp_path, "two-node-vm")
    plant_nodes(
        tree.sysfs,
        {
            "online": "0-1",
            "node0/cpulist": "0-1",
            "node0/distance": "10 21",
            "node1/cpulist": "2-3",
            "node1/distance": "21 10",
        },
    )
    monkeypatch.setenv("NUMA_SYSFS_ROOT", str(tree.sysfs))
    monkeypatch.setenv("NUMA_HOST_ROOT", str(tree.root))
    return tree


def run(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    parser = argparse.ArgumentParser()
    topology.add_arguments(parser)
    assert topology.main(parser.parse_args(words)) == 0
    return capsys.readouterr().out


def document(capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(run(capsys, "--output", "json", *words))
    return found


@pytest.mark.usefixtures("tree")
def test_json_has_the_way_to_each_name(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names of the settings and of the command line, in the documented form."""
    monkeypatch.setenv("NUMA_NEAR", f"data=disk:nvme2n1p2,mirror={DATA}")
    data, mirror, gone = document(capsys, "--near", "gone=net:eth9")["near"]
    assert data == {
        "name": "data",
        "target": "disk:nvme2n1p2",
        "nodes": data["nodes"],
        "chain": ["nvme2n1p2", "nvme2n1", data["chain"][-1]],
        "advertised": True,
        "reason": None,
        "notes": [],
    }
    assert mirror["nodes"] == [0, 1]
    assert mirror["chain"][-1].count("+") == 1
    assert gone["advertised"] is False
    assert gone["nodes"] == []
    assert "eth9" in gone["reason"]


@pytest.mark.usefixtures("tree")
def test_names_of_the_file_and_what_is_wrong(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both are shown for people and for programs."""
    file = tmp_path / "near.yaml"
    file.write_text(f"same: {DATA}\ncpu: /x\n")
    monkeypatch.setenv("NUMA_NEAR_FILE", str(file))
    found = document(capsys, "--near", f"data={DATA}")
    assert [each["name"] for each in found["near"]] == ["data", "same"]
    (problem,) = found["near_problems"]
    assert "expected a name that does not end in cpu" in problem
    (remark,) = found["near_remarks"]
    assert remark.startswith("data and same name the same thing")
    output = run(capsys, "--near", f"data={DATA}")
    assert problem in output
    assert remark in output


@pytest.mark.usefixtures("tree")
def test_json_has_the_devices_of_each_node(capsys: pytest.CaptureFixture[str]) -> None:
    """Disks and mounts under the nodes they are near, under both if they are near both."""
    found = document(capsys)
    first, second = found["nodes"]
    assert {disk["name"] for disk in first["disks"]} != {disk["name"] for disk in second["disks"]}
    both = {mount["name"] for mount in first["mounts"]} & {
        mount["name"] for mount in second["mounts"]
    }
    assert DATA in both
    (mount,) = [mount for mount in first["mounts"] if mount["name"] == DATA]
    assert mount["file_system"] == "ext4"
    assert found["hidden"] == []


@pytest.mark.usefixtures("tree")
def test_text_has_a_line_for_each_name(capsys: pytest.CaptureFixture[str]) -> None:
    """With the way to its nodes, or why it is not offered; and for what is wrong with another."""
    output = run(capsys, "--near", f"data={DATA}", "--near", "cpu=/x", "--near", "gone=net:eth9")
    lines = output.splitlines()
    (data,) = [line for line in lines if line.startswith("near-data: ")]
    assert f"near-data: {DATA} → " in data
    assert "→ nodes 0-1 (on several nodes: 0000:41:00.0 on node 0; " in data
    assert any(line.startswith("near-gone is not offered: net:eth9: ") for line in lines)
    assert any("expected a name that does not end in cpu" in line for line in lines)


def test_names_with_line_ends_stay_on_their_line(
    tree: HostTree, capsys: pytest.CaptureFixture[str]
) -> None:
    """The kernel lets an interface and a mount point have nearly any bytes for a name."""
    tree.interface("e\nth\x1b[31m", on=tree.card("0000:f0:00.0", node=1))
    (line,) = [line for line in run(capsys).splitlines() if "0000:f0:00.0" in line]
    assert r"e\nth\x1b[31m" in line


def test_says_what_cannot_be_seen(
    tree: HostTree, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the host's mount table its mounts are not shown, and a line says how to have them."""
    monkeypatch.delenv("NUMA_HOST_ROOT")
    output = run(capsys)
    assert "Not shown: " in output
    assert "/proc/1/mountinfo" in output
    assert f" {DATA}: " not in output
    assert f" {DATA}: " in run(capsys, "--host-root", str(tree.root))
