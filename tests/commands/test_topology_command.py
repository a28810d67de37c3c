"""`numa-trio topology`: its document for programs, and how it fails."""

import argparse
import json
import os
import re
from pathlib import Path
from typing import Any

import pytest

from numa_trio.commands import topology
from sysfs_tree import plant_machine, plant_nodes

NOTHING_NEAR: dict[str, Any] = {
    "disks": [],
    "interfaces": [],
    "infiniband": [],
    "gpus": [],
    "mounts": [],
}


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("NUMA_") or name in ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE"):
            monkeypatch.delenv(name)


def run(*words: str | Path) -> int:
    parser = argparse.ArgumentParser()
    topology.add_arguments(parser)
    return topology.main(parser.parse_args([str(word) for word in words]))


def json_of(root: Path, capsys: pytest.CaptureFixture[str]) -> dict[str, Any]:
    assert run("--output", "json", "--sysfs-root", root) == 0
    document: dict[str, Any] = json.loads(capsys.readouterr().out)
    return document


def text_of(root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert run("--sysfs-root", root) == 0
    return capsys.readouterr().out


def test_json_has_the_documented_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Programs find the documented keys in the documented order, and more after them."""
    document = json_of(plant_machine(tmp_path, "two-sockets"), capsys)
    assert document == {
        "schemaVersion": 1,
        "nodes": [
            {
                "id": 0,
                "cpus": "0-3",
                "memory_bytes": 4294967296,
                "distances": {"0": 10, "1": 21},
                "advertised": True,
                "reason": None,
                "memory_free_bytes": 1073741824,
                "huge_pages": [
                    {"size_bytes": 2097152, "total": 512, "free": 500},
                    {"size_bytes": 1073741824, "total": 2, "free": 0},
                ],
                **NOTHING_NEAR,
                "resource": "numa-align/numa-0",
                "kind": "cpus-and-memory",
                "sockets": [],
                "cores": [],
                "memory_used_bytes": 3221225472,
                "memory_kind": None,
                "memory_tier": None,
                "memory_initiators": [],
                "memory_read_bandwidth_mb_per_s": None,
                "memory_read_latency_ns": None,
                "nearest": [1],
            },
            {
                "id": 1,
                "cpus": "4-7",
                "memory_bytes": 4294967296,
                "distances": {"0": 21, "1": 10},
                "advertised": True,
                "reason": None,
                "memory_free_bytes": 2147483648,
                "huge_pages": [{"size_bytes": 2097152, "total": 0, "free": 0}],
                **NOTHING_NEAR,
                "resource": "numa-align/numa-1",
                "kind": "cpus-and-memory",
                "sockets": [],
                "cores": [],
                "memory_used_bytes": 2147483648,
                "memory_kind": None,
                "memory_tier": None,
                "memory_initiators": [],
                "memory_read_bandwidth_mb_per_s": None,
                "memory_read_latency_ns": None,
                "nearest": [0],
            },
        ],
        "numa_aware": True,
        "remarks": [],
        "near": [],
        "near_problems": [],
        "near_remarks": [],
        "near_no_node": NOTHING_NEAR,
        "hidden": document["hidden"],
        "offline_cpus": None,
    }
    first = document["nodes"][0]
    assert list(first)[:6] == ["id", "cpus", "memory_bytes", "distances", "advertised", "reason"]


def test_json_gives_the_reason_for_a_node_that_is_left_out(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A node without CPUs is listed, not advertised, and says why."""
    nodes = json_of(plant_machine(tmp_path, "gpu-memory"), capsys)["nodes"]
    assert [(node["id"], node["cpus"], node["advertised"]) for node in nodes] == [
        (0, "0-87", True),
        (8, "88-175", True),
        (250, "", False),
        (251, "", False),
    ]
    assert "no online CPUs" in nodes[2]["reason"]


def test_json_tells_a_kernel_without_numa(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Memory that the kernel does not tell is null, and a remark says what happened."""
    document = json_of(plant_machine(tmp_path, "no-numa"), capsys)
    (node,) = document["nodes"]
    assert (node["id"], node["cpus"], node["memory_bytes"]) == (0, "0-1,3-5", None)
    assert document["numa_aware"] is False
    assert document["remarks"]


def test_a_broken_file_costs_only_what_it_says(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Unknown CPUs are null and no reason to be silent about the rest; remarks name the files."""
    root = plant_machine(tmp_path, "two-sockets")
    here = root / "devices/system/node"
    (here / "node0/cpulist").write_text("0-")
    (here / "node1/distance").write_text("near")
    document = json_of(root, capsys)
    assert [(node["cpus"], node["advertised"]) for node in document["nodes"]] == [
        (None, False),
        ("4-7", True),
    ]
    assert [remark.partition(": held")[0] for remark in document["remarks"]] == [
        f"node 0: CPUs unknown: {here}/node0/cpulist",
        f"node 1: distances unknown: {here}/node1/distance",
    ]
    output = text_of(root, capsys)
    assert re.search(r"─ NUMA node 0 ─+ not advertised ─.*\n│ CPUs +unknown ", output)
    assert "Not advertised: 0: the file that lists its CPUs cannot be read" in output
    assert all(f"\n{remark}\n" in output for remark in document["remarks"])


def test_a_name_or_content_of_a_file_cannot_write_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a path or a file holds is shown as escapes, in the drawing, in remarks and in errors."""
    root = plant_machine(tmp_path / "\x1b[2J\udcff\n", "two-sockets")
    (root / "devices/system/node/node0/distance").write_text("\x1b[31m")
    output = text_of(root, capsys)
    assert "\x1b" not in output
    assert r"\x1b[2J\udcff\n/devices/system/node/node0/distance: held '\x1b[31m'" in output
    (root / "devices/system/node/online").write_text("")
    assert run("--sysfs-root", str(root)) == 2
    errors = capsys.readouterr().err
    assert "\x1b" not in errors
    assert r"\x1b[2J\udcff" in errors


def test_settings_choose_root_and_policy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without an option NUMA_SYSFS_ROOT counts; NUMA_CPULESS_NODES always does."""
    monkeypatch.setenv("NUMA_SYSFS_ROOT", str(plant_machine(tmp_path, "memory-tiers")))
    monkeypatch.setenv("NUMA_CPULESS_NODES", "advertise")
    assert run("--output", "json") == 0
    nodes = json.loads(capsys.readouterr().out)["nodes"]
    assert [(node["advertised"], node["reason"]) for node in nodes] == [(True, None)] * 4


@pytest.mark.parametrize(
    ("environment", "message"),
    [
        ({"NUMA_CPULESS_NODES": "maybe"}, "NUMA_CPULESS_NODES='maybe'"),
        ({"NUMA_SYSFS_ROOT": "/no/such/sysfs"}, "sysfs root /no/such/sysfs"),
    ],
)
def test_bad_configuration_exits_2(
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    environment: dict[str, str],
    message: str,
) -> None:
    """The message on standard error names the setting or the path; nothing is printed besides."""
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert run() == 2
    printed = capsys.readouterr()
    assert message in printed.err
    assert printed.out == ""


def test_a_malformed_file_exits_2(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message on standard error names the file, what it held and what was expected."""
    plant_nodes(tmp_path, {"online": "many"})
    assert run("--sysfs-root", tmp_path) == 2
    printed = capsys.readouterr()
    assert re.search(r"node/online: held 'many', expected a list", printed.err)
    assert printed.out == ""


def test_a_host_root_that_is_not_there_exits_2(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A word that was mistyped is not advice to mount something there."""
    assert run("--host-root", tmp_path / "nowhere") == 2
    printed = capsys.readouterr()
    assert f"--host-root {tmp_path}/nowhere: expected a directory" in printed.err
    assert printed.out == ""
