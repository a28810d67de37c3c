"""The shell that runs in the cluster, run here; and kubectl's wrapper, on small programs."""

import os
import subprocess
from pathlib import Path

import pytest

from e2e.kubectl import KubectlFailed, run_kubectl
from e2e.objects import parse_numa_nodes, parse_placement
from e2e.pods import RESTART_KUBELET, TELL_NUMA_NODES, TELL_PLACEMENT


def _shell(script: str, **environment: str) -> str:
    done = subprocess.run(
        ["/bin/sh", "-c", script],
        env={"PATH": os.environ["PATH"], **environment},
        check=True,
        capture_output=True,
        text=True,
    )
    return done.stdout


def _program(path: Path, script: str) -> Path:
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return path


def test_the_probe_tells_what_the_kernel_says() -> None:
    """Its CPUs are those that this very process may use."""
    placement = parse_placement(_shell(TELL_PLACEMENT, NUMA_NODE="1"))
    assert placement.cpus == frozenset(os.sched_getaffinity(0))
    assert placement.memory_nodes
    assert placement.numa_node == "1"


def test_the_probe_succeeds_without_the_resource() -> None:
    """An init container without the resource prints no NUMA_NODE, and ends well."""
    assert parse_placement(_shell(TELL_PLACEMENT)).numa_node is None


def test_the_plugins_pod_tells_this_machines_numa_nodes() -> None:
    """Every online CPU belongs to a node, whether the kernel knows NUMA or not."""
    nodes = parse_numa_nodes(_shell(TELL_NUMA_NODES))
    assert os.sched_getaffinity(0) <= frozenset().union(*nodes.values())


def test_the_active_service_is_restarted_and_no_other(tmp_path: Path) -> None:
    """On a node of RKE2 it is rke2-agent."""
    _program(
        tmp_path / "systemctl",
        f'echo "$*" >> {tmp_path}/calls; [ "$1" != is-active ] || [ "$3" = rke2-agent ]',
    )
    said = _shell(RESTART_KUBELET, PATH=f"{tmp_path}:{os.environ['PATH']}")
    assert said == "restarted rke2-agent\n"
    assert (tmp_path / "calls").read_text().splitlines()[-1] == "restart --no-block rke2-agent"


@pytest.mark.parametrize("systemctl", ["exit 3", None])
def test_no_service_is_said_and_not_claimed(tmp_path: Path, systemctl: str | None) -> None:
    """Without an active service, or without systemd, nothing is restarted."""
    if systemctl:
        _program(tmp_path / "systemctl", systemctl)
    assert _shell(RESTART_KUBELET, PATH=str(tmp_path)).startswith("none of these systemd services")


def test_kubectl_gets_the_manifest_on_its_standard_input(tmp_path: Path) -> None:
    """`create -f -` reads it there."""
    program = _program(tmp_path / "kubectl", 'echo "$*"; cat')
    said = run_kubectl(["create", "-f", "-"], "manifest", program=str(program))
    assert said == "create -f -\nmanifest"


def test_what_kubectl_says_is_kept_when_it_fails(tmp_path: Path) -> None:
    """The API server's reason is in standard error."""
    program = _program(tmp_path / "kubectl", "echo forbidden >&2; exit 1")
    with pytest.raises(KubectlFailed, match="kubectl get nodes: forbidden"):
        run_kubectl(["get", "nodes"], None, program=str(program))


def test_a_missing_kubectl_is_said(tmp_path: Path) -> None:
    """The message names the program."""
    with pytest.raises(KubectlFailed, match="no program"):
        run_kubectl(["version"], None, program=str(tmp_path / "kubectl"))


def test_a_kubectl_that_hangs_is_given_up(tmp_path: Path) -> None:
    """A connection that hangs does not hang the test."""
    program = _program(tmp_path / "kubectl", "exec sleep 60")
    with pytest.raises(KubectlFailed, match="no answer"):
        run_kubectl(["version"], None, program=str(program), seconds=0.05)
