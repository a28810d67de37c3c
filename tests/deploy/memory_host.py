"""A made host for the script numa-trio-memory-state: its memory, its cgroups, its state file."""

import copy
import json
import os
import shutil
import subprocess
from pathlib import Path
from typing import Any

from attrs import field, frozen

from deploy.manifests import REPOSITORY

Object = dict[str, Any]

SCRIPT = REPOSITORY / "deploy/systemd/numa-trio-memory-state"

# What the commands of the script are called; busybox has them all.
COMMANDS = ("awk", "cat", "date", "find", "grep", "mv", "rm", "sed", "sort", "tr")
# The awk of the system must be there; others are tried where they are installed.
AWKS = [
    "awk",
    *(
        name
        for name in ("mawk", "gawk", "original-awk")
        if (found := shutil.which(name))
        and Path(found).resolve() != Path(shutil.which("awk") or "").resolve()
    ),
]

KIB = 1024
# KiB of each kind of memory of each node.
TWO_NODES = {
    0: {"memory": 3_029_096, "hugepages-2Mi": 4 * 2048, "hugepages-1Gi": 0},
    1: {"memory": 2_990_676, "hugepages-2Mi": 0, "hugepages-1Gi": 1_048_576},
}
PAGE_SIZES = {"hugepages-2Mi": 2048, "hugepages-1Gi": 1_048_576}


@frozen
class Tools:
    """A shell and the commands that it finds, in a folder of their own."""

    shell: str
    path: str

    @classmethod
    def of(cls, name: str, folder: Path) -> "Tools":
        """Those of the system, with that awk; or all of busybox."""
        if name == "awk":
            return cls("/bin/sh", os.environ["PATH"])
        program = shutil.which(name)
        assert program
        for command in COMMANDS if name == "busybox" else ["awk"]:
            (folder / command).symlink_to(program)
        if name != "busybox":
            return cls("/bin/sh", f"{folder}:{os.environ['PATH']}")
        (folder / "sh").symlink_to(program)
        return cls(str(folder / "sh"), str(folder))


@frozen
class Host:
    """A host below a folder."""

    root: Path
    tools: Tools = field(default=Tools("/bin/sh", os.environ["PATH"]))

    @property
    def state(self) -> Path:
        """Where kubelet's file is."""
        return self.root / "kubelet/memory_manager_state"

    def make(self, nodes: dict[int, dict[str, int]] = TWO_NODES) -> "Host":
        """The machine without containers and kubelet, with so many KiB; no state file yet."""
        for folder in ("sys/fs/cgroup", "proc/net", "kubelet", "sys/devices/system/node"):
            (self.root / folder).mkdir(parents=True)
        (self.root / "sys/devices/system/node/has_cpu").write_text("0\n")
        for node, kinds in nodes.items():
            self.set_memory(node, kinds)
        self.write("proc/net/unix", "Num       RefCount Protocol Flags    Type St Inode Path\n")
        return self

    def set_memory(self, node: int, kinds: dict[str, int]) -> None:
        """A NUMA node has so many KiB of each kind, as the kernel shows it."""
        at = f"sys/devices/system/node/node{node}"
        lines = f"Node {node} MemTotal:       {kinds['memory']} kB\nNode {node} MemFree: 5 kB\n"
        self.write(f"{at}/meminfo", lines)
        for kind, size in PAGE_SIZES.items():
            pages = kinds[kind] // size
            self.write(f"{at}/hugepages/hugepages-{size}kB/nr_hugepages", f"{pages}\n")

    def write(self, path: str, text: str) -> None:
        """A file of the host."""
        file = self.root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def remember(self, state: object) -> None:
        """Kubelet's file holds this, as kubelet writes it."""
        self.state.write_text(json.dumps(state, separators=(",", ":")))

    def run(self, *arguments: str | Path, **environment: str) -> subprocess.CompletedProcess[str]:
        """What the script says and returns; of the state file, if nothing else is asked for."""
        seen = ["--sysfs", self.root / "sys", "--proc", self.root / "proc"]
        looked_at = arguments or ([] if environment else [self.state])
        return subprocess.run(
            [self.tools.shell, SCRIPT, *seen, *looked_at],
            capture_output=True,
            text=True,
            check=False,
            env={"PATH": self.tools.path, **environment},
        )

    def asides(self) -> list[str]:
        """The names of the files that were moved aside."""
        return sorted(path.name for path in self.state.parent.glob("*.aside"))

    def assert_left(self, *said: str, status: int = 0) -> None:
        """The script leaves the file as it is, and says so and why."""
        before = self.state.read_bytes()
        done = self.run()
        assert (done.returncode, done.stderr) == (status, "")
        for each in (*said, f"{self.state} is left alone"):
            assert each in done.stdout
        assert self.state.read_bytes() == before
        assert self.asides() == []

    def assert_moved(self, *said: str) -> None:
        """The script moves the file aside as it is, and says where and why."""
        before = self.state.read_bytes()
        done = self.run()
        assert (done.returncode, done.stderr) == (0, "")
        (aside,) = self.asides()
        reasons = done.stdout.splitlines()
        assert reasons.pop() == f"{self.state} is now {self.state.parent / aside}"
        assert reasons == [f"{self.state}: {each}" for each in said]
        assert not self.state.exists()
        assert (self.state.parent / aside).read_bytes() == before


def recorded(nodes: dict[int, dict[str, int]] = TWO_NODES, **more: object) -> Object:
    """What kubelet writes on a machine with so many KiB, with a container of 128 MiB on node 1."""
    block = {"numaAffinity": [1], "type": "memory", "size": 134_217_728}
    return copy.deepcopy(
        {
            "policyName": "Static",
            "machineState": {
                str(node): {
                    "numberOfAssignments": node,
                    "memoryMap": {kind: _table(kib * KIB) for kind, kib in kinds.items()},
                    "cells": [node],
                }
                for node, kinds in nodes.items()
            },
            "entries": {"6f1c6f0e-8f0a-4b57-a3ac-3a5c24b1b1f5": {"app": [block]}},
            "checksum": 2_897_321_153,
            **more,
        }
    )


def _table(total: int) -> dict[str, int]:
    reserved = min(total, 536_870_912)
    free = total - reserved
    return {
        "total": total,
        "systemReserved": reserved,
        "allocatable": free,
        "reserved": 0,
        "free": free,
    }
