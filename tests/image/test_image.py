"""The image, built and run as a cluster would: as the contract has it, and under its limits."""

import json
import re
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

import numa_trio
from grpcio_kubelet import GrpcioKubelet
from image.conftest import IMAGE, Report, Start, build
from image.container import PLUGIN_DIRECTORY, image_configuration, output_of

pytestmark = pytest.mark.slow

# Imports all that the agent imports and names the modules whose bytecode Python would not use:
# there is none, or it is for a source of another date or size.
MODULES_WITHOUT_BYTECODE = """
import os, sys
import numa_trio.cli
import numa_trio.agent.service, numa_trio.logs, numa_trio.settings

def usable(module):
    if not os.path.exists(module.__cached__):
        return False
    with open(module.__cached__, "rb") as file:
        header = file.read(16)
    flags, date, size = (int.from_bytes(header[i : i + 4], "little") for i in (4, 8, 12))
    source = os.stat(module.__file__)
    return flags == 1 or (flags, date, size) == (0, int(source.st_mtime), source.st_size)

for name, module in sorted(sys.modules.items()):
    if getattr(module, "__cached__", None) and not usable(module):
        print(name)
"""


def test_says_what_it_is(configuration: dict[str, Any]) -> None:
    """Entrypoint, user, stop signal and labels are there; the date is the commit's."""
    config = configuration["config"]
    labels = {
        name.removeprefix("org.opencontainers.image."): value
        for name, value in config["Labels"].items()
    }
    assert config["Entrypoint"] == ["numa-trio"]
    assert not config.get("Cmd")
    assert config["User"] == "0:0"
    assert config["StopSignal"] == "SIGTERM"
    assert labels["title"] == "numa-trio"
    assert labels["version"] == numa_trio.__version__
    assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels["revision"])
    assert labels["created"] == configuration["created"]


def test_holds_what_probes_need_and_no_tools(root: Path) -> None:
    """/bin/sh and ls are there; pip, its caches, wheels, a compiler and the sources are not."""
    assert (root / "bin/sh").exists()
    assert (root / "bin/ls").exists()
    unwanted = ["pip", "pip3", "gcc", "cc", "g++", "make"]
    directories = ["bin", "usr/bin", "usr/local/bin", "opt/numa-trio/bin"]
    present = {path.name for directory in directories for path in (root / directory).glob("*")}
    assert present.isdisjoint(unwanted)
    assert not (root / "build").exists()
    assert list(root.glob("root/.cache")) == []
    assert list((root / "opt/numa-trio").rglob("pip")) == []
    assert list(root.glob("usr/lib/python3*/ensurepip")) == []


def test_every_module_of_the_agent_has_bytecode(start: Start) -> None:
    """Nothing is compiled at start: on a read-only root it would be, again and again."""
    container = start("-c", MODULES_WITHOUT_BYTECODE, Entrypoint=["python"])
    assert container.wait(60) == 0, container.log()
    assert container.log() == ""


def test_runs_the_agent_within_the_limits_of_the_strictest_known_user(
    start: Start, kubelet: GrpcioKubelet, report: Report
) -> None:
    """Read-only root, no capability, cpu 100m, memory 64Mi: serving and registered within 10 s."""
    container = start()
    kubelet.wait_for(lambda: bool(kubelet.allocatable()), "a resource with devices")
    seconds = time.monotonic() - container.started
    name, plugin = min(kubelet.plugins.items())
    node = name.removeprefix("numa-align/numa-")

    assert seconds < 10, f"{seconds:.1f} s; {container.log()}"
    assert kubelet.allocatable()[name] == 100
    answer = plugin.allocate([f"numa-{node}-7"])
    assert dict(answer.container_responses[0].envs) == {"NUMA_NODE": node}

    probe = container.execute("/bin/sh", "-c", f"ls {PLUGIN_DIRECTORY}/numa-*.sock")
    assert probe.returncode == 0, probe.stderr
    assert probe.stdout.split() == [
        f"{PLUGIN_DIRECTORY}/numa-{number}.sock"
        for number in sorted(found.removeprefix("numa-align/numa-") for found in kubelet.plugins)
    ]
    memory = container.peak_memory() / 2**20
    report(f"image: streaming after {seconds:.2f} s with 0.1 CPU, peak memory {memory:.1f} MiB")


def test_nothing_below_sys_can_be_written(start: Start, kubelet: GrpcioKubelet) -> None:
    """The container's own /sys is one mount and read-only, so no file of the kernel's is open."""
    container = start()
    kubelet.wait_for(lambda: bool(kubelet.allocatable()), "a resource with devices")
    mounts = container.execute("/bin/cat", "/proc/self/mountinfo").stdout.splitlines()
    found = {line.split()[4]: line.split()[5].split(",") for line in mounts}
    assert [path for path in found if path.startswith("/sys")] == ["/sys"]
    assert "ro" in found["/sys"]


def test_own_sys_shows_what_the_hosts_shows(start: Start) -> None:
    """The same NUMA nodes with their CPUs, memory and distances."""
    shown = []
    for host_sys in (False, True):
        container = start("topology", "--output=json", host_sys=host_sys)
        assert container.wait(60) == 0, container.log()
        nodes = json.loads(container.log())["nodes"]
        # These change by themselves, or are the network namespace's own.
        others = dict.fromkeys(
            ["memory_free_bytes", "memory_used_bytes", "huge_pages", "interfaces"]
        )
        shown.append([node | others for node in nodes])
    assert shown[0] == shown[1] != []


def test_registers_where_the_hosts_sys_is_mounted(start: Start, kubelet: GrpcioKubelet) -> None:
    """A known user's manifest mounts it read-only, and goes on working."""
    start(host_sys=True)
    kubelet.wait_for(lambda: bool(kubelet.allocatable()), "a resource with devices")


def test_ends_well_on_sigterm_while_kubelet_is_connected(
    start: Start, kubelet: GrpcioKubelet
) -> None:
    """Exit status 0 within 2 s, no socket left, and kubelet sees its streams end."""
    container = start()
    kubelet.wait_for(lambda: bool(kubelet.allocatable()), "a resource with devices")
    told = time.monotonic()
    container.terminate()
    assert container.wait(30) == 0, container.log()
    seconds = time.monotonic() - told

    assert seconds < 2, f"{seconds:.1f} s; {container.log()}"
    assert list(kubelet.directory.glob("numa-*.sock")) == []
    kubelet.wait_allocatable({})


def test_registers_again_after_a_restart_of_kubelet(start: Start, kubelet: GrpcioKubelet) -> None:
    """From inside a container too, a new kubelet.sock in the mounted directory is noticed."""
    start()
    kubelet.wait_for(lambda: bool(kubelet.allocatable()), "a resource with devices")
    before = kubelet.allocatable()
    kubelet.stop()
    kubelet.start()
    kubelet.wait_allocatable(before)


def test_bad_configuration_ends_it_with_status_2(
    start: Start, configuration: dict[str, Any]
) -> None:
    """A capacity that is no number is refused at once, and the message names the variable."""
    container = start(Env=[*configuration["config"]["Env"], "NUMA_CAPACITY=many"])
    assert container.wait(60) == 2, container.log()
    assert "NUMA_CAPACITY" in container.log()


def test_same_commit_gives_the_same_image(base: str, configuration: dict[str, Any]) -> None:
    """Built again from nothing, every layer has the same digest."""
    again = f"{IMAGE}-again"
    built = datetime.fromisoformat(configuration["created"])
    build(base, again, "--no-cache", epoch=int(built.timestamp()))
    try:
        assert image_configuration(again)["rootfs"] == configuration["rootfs"]
    finally:
        output_of("buildah", "rmi", again)
