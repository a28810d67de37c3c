"""The agent beside the kubelet stand-in: what kubelet sees of its slots, told as facts."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import trio
from telling import tell

from numa_trio.simulator.admission import Verdict
from numa_trio.simulator.events import EventKind
from numa_trio.simulator.kubelet import KubeletStandIn
from numa_trio.workloads.manifest import load_manifests

DEVICE_PLUGINS = Path("/var/lib/kubelet/device-plugins")
SYS = Path("/sys")
AGENT_LOG = Path("/run/agent.log")

SLOTS = 100
PATIENCE = 180  # seconds; under emulation on a loaded machine a second is long


class WaitedInVain(Exception):
    """Something did not come about; the message says what."""


def resource_name(name: str) -> str:
    """The resource of ours with this name."""
    return f"numa-align/{name}"


async def wait(kubelet: KubeletStandIn, what: str, holds: Callable[[], bool]) -> None:
    """Wait until it holds, or raise `WaitedInVain` of `what`."""
    with trio.move_on_after(PATIENCE):
        await kubelet.wait_until(holds)
        return
    raise WaitedInVain(what)


def nodes_of(kubelet: KubeletStandIn, resource: str) -> list[int]:
    """The NUMA nodes that the healthy slots of a resource name."""
    devices = kubelet.node.devices
    ids = devices.healthy(resource)
    return sorted({node for each in ids for node in devices.place(resource, each)})


def tell_slots(fact: str, kubelet: KubeletStandIn, **details: Any) -> None:
    """Print each resource's slots with the NUMA nodes that they name, and what led to them."""
    resources = {
        name: {
            "capacity": kubelet.capacity(name),
            "allocatable": kubelet.allocatable(name),
            "numa_nodes": nodes_of(kubelet, name),
        }
        for name in kubelet.node.devices.resources
    }
    counts = Counter(event.kind for event in kubelet.log.events)
    tell(
        fact,
        resources=resources,
        registrations=counts[EventKind.REGISTERED],
        streams=counts[EventKind.WATCHING],
        lists=counts[EventKind.LISTED],
        **details,
    )


async def admit_pod(kubelet: KubeletStandIn, local_name: str) -> Verdict:
    """What comes of a pod with one CPU that asks for this resource of ours; it is gone again."""
    limits = {"cpu": 1, "memory": "64Mi", resource_name(local_name): 1}
    container = {"name": "app", "image": "none", "resources": {"limits": limits}}
    manifest = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"on-{local_name}"},
        "spec": {"containers": [container]},
    }
    file = Path(f"/run/pod-{local_name}.yaml")
    file.write_text(json.dumps(manifest))
    (pod,) = load_manifests([file]).pods
    verdict = await kubelet.admit(pod)
    kubelet.remove(pod)
    return verdict


async def tell_pod(kubelet: KubeletStandIn, local_name: str, **details: Any) -> None:
    """Print where a pod with one CPU comes to that asks for this resource of ours."""
    verdict = await admit_pod(kubelet, local_name)
    placements = [
        {
            "cpus": sorted(placement.cpus),
            "environment": dict(placement.environment),
            "devices": {name: list(ids) for name, ids in placement.devices.items()},
        }
        for placement in verdict.placements
    ]
    tell("pod", resource=local_name, reason=verdict.reason, placements=placements, **details)


@contextmanager
def running_agent(
    variables: Mapping[str, str], within: Sequence[str] = ()
) -> Iterator["subprocess.Popen[bytes]"]:
    """The agent with the directory that it finds by itself, run by the command `within`, if any."""
    environment = {
        **os.environ,
        "NUMA_CAPACITY": str(SLOTS),
        "NUMA_LOG_FORMAT": "json",
        **variables,
    }
    with AGENT_LOG.open("ab") as log:
        command = [*within, sys.executable, "-m", "numa_trio", "run"]
        agent = subprocess.Popen(command, env=environment, stdout=log, stderr=log)
        try:
            yield agent
        finally:
            agent.kill()
            agent.wait()


def tell_agents_log() -> None:
    """Print what the agent said."""
    for line in AGENT_LOG.read_text().splitlines() if AGENT_LOG.exists() else []:
        tell("agent said", line=line)
