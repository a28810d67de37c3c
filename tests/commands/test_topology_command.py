"""`numa-trio topology`: what it prints, and how it fails."""

import argparse
import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from numa_trio.commands import topology
from numa_trio.topology.lists import format_list
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


def table_of(root: Path, capsys: pytest.CaptureFixture[str]) -> str:
    assert run("--sysfs-root", root) == 0
    return capsys.readouterr().out


def test_json_has_the_documented_form(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Programs find the documented keys in the documented order, and more after them."""
    document = json_of(plant_machine(tmp_path, "two-sockets"), capsys)
    assert document == {
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
            },
        ],
        "numa_aware": True,
        "remarks": [],
        "near": [],
        "near_problems": [],
        "near_remarks": [],
        "near_no_node": NOTHING_NEAR,
        "hidden": document["hidden"],
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
    output = table_of(root, capsys)
    assert re.search(r"^ *0 +unknown +unknown .* no *$", output, re.MULTILINE)
    assert "Not advertised: 0: the file that lists its CPUs cannot be read" in output
    assert all(f"\n{remark}\n" in output for remark in document["remarks"])


def test_a_name_or_content_of_a_file_cannot_write_to_the_terminal(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What a path or a file holds is shown as escapes, in the table, in remarks and in errors."""
    root = plant_machine(tmp_path / "\x1b[2J\udcff\n", "two-sockets")
    (root / "devices/system/node/node0/distance").write_text("\x1b[31m")
    output = table_of(root, capsys)
    assert "\x1b" not in output
    assert r"\x1b[2J\udcff\n/devices/system/node/node0/distance: held '\x1b[31m'" in output
    (root / "devices/system/node/online").write_text("")
    assert run("--sysfs-root", str(root)) == 1
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


def test_the_table_shows_each_node_in_a_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Columns: id, CPUs and how many, memory, distances by node, huge pages, advertised."""
    rows = table_of(plant_machine(tmp_path, "two-sockets"), capsys).splitlines()
    cells = [re.split(r"  +", row.strip()) for row in rows]
    assert cells[0][0] == "Node"
    first = ["0", "0-3", "4", "4 GiB", "0 at 10; 1 at 21"]
    pages = ["2 MiB: 500 of 512 free, 1 GiB: 0 of 2 free", "yes"]
    assert cells[2] == first + pages
    assert cells[3] == ["1", "4-7", "4", "4 GiB", "1 at 10; 0 at 21", "none", "yes"]


def test_the_table_says_which_nodes_are_not_advertised_and_why(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nodes that are left out for one reason share one sentence below the table."""
    output = table_of(plant_machine(tmp_path, "gpu-memory"), capsys)
    assert re.search(r"^ *250 +none +0 .* no *$", output, re.MULTILINE)
    assert output.count("Not advertised") == 1
    assert "Not advertised: 250-251: no online CPUs" in output


def test_the_table_shows_what_is_unknown_and_remarked(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What the kernel does not tell is called unknown, not zero."""
    output = table_of(plant_machine(tmp_path, "no-numa"), capsys)
    assert re.search(r"^ *0 +0-1,3-5 +5 +unknown +unknown ", output, re.MULTILINE)
    assert "the kernel knows no NUMA nodes" in output


@pytest.mark.parametrize(
    ("kibibytes", "size"),
    [(0, "0 B"), (1, "1 KiB"), (1536, "1.5 MiB"), (1024**3, "1 TiB"), (5 * 1024**4, "5 PiB")],
)
def test_memory_is_shown_in_the_largest_unit_it_fills(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kibibytes: int, size: str
) -> None:
    """A person reads the size without counting digits."""
    plant_nodes(
        tmp_path,
        {
            "online": "0",
            "node0/cpulist": "0",
            "node0/meminfo": f"Node 0 MemTotal:  {kibibytes} kB",
        },
    )
    assert f"  {size}  " in table_of(tmp_path, capsys)


def wide_machine(root: Path) -> dict[int, range]:
    """64 nodes whose CPUs and distances make long cells."""
    cpus = {node: range(node, 1024, 64) for node in range(64)}
    files = {"online": "0-63"}
    for node in cpus:
        files[f"node{node}/cpulist"] = format_list(cpus[node])
        files[f"node{node}/distance"] = " ".join(str(10 + (node ^ other)) for other in cpus)
    plant_nodes(root, files)
    return cpus


def test_nothing_is_cut_off_in_a_pipe(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """64 nodes with long cells take a line each, whatever COLUMNS says."""
    monkeypatch.setenv("COLUMNS", "40")
    cpus = wide_machine(tmp_path)
    rows = table_of(tmp_path, capsys).splitlines()[2:66]
    assert [row.split()[:2] for row in rows] == [
        [str(node), format_list(those)] for node, those in cpus.items()
    ]
    assert all(f"{distance - 10} at {distance}" in rows[0] for distance in range(10, 74))


def test_nothing_is_cut_off_in_a_narrow_terminal(tmp_path: Path) -> None:
    """In a window of 40 columns cells go on in further lines, and every digit is still there."""
    cpus = format_list(range(0, 80, 2))
    plant_nodes(tmp_path, {"online": "0", "node0/cpulist": cpus, "node0/distance": "10"})
    ours, window = pty.openpty()
    program = "import sys; from numa_trio.cli import main; sys.exit(main(sys.argv[1:]))"
    subprocess.run(
        [sys.executable, "-c", program, "topology", "--sysfs-root", tmp_path],
        stdout=window,
        env=os.environ | {"COLUMNS": "40", "TERM": "xterm"},
        check=True,
    )
    os.close(window)
    output = os.read(ours, 10_000).decode()
    os.close(ours)
    lines = [re.sub(r"\x1b\[[0-9;]*m", "", line).rstrip() for line in output.splitlines()]
    assert max(map(len, lines)) <= 40
    assert "…" not in output
    text = " ".join(" ".join(lines).split())
    assert f"Node 0 CPUs: {cpus.replace(',', ', ')} Count: 40 Memory: unknown" in text
    assert "mount the host's /proc/1/mountinfo (read-only) below a directory" in text


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


def test_a_malformed_file_exits_1(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The message on standard error names the file, what it held and what was expected."""
    plant_nodes(tmp_path, {"online": "many"})
    assert run("--sysfs-root", tmp_path) == 1
    printed = capsys.readouterr()
    assert re.search(r"node/online: held 'many', expected a list", printed.err)
    assert printed.out == ""
