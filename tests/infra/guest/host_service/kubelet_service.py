"""What kubelet.service runs: the stand-in, with the pods of the API server and its checkpoint.

It ends by its signals as a real one does: at once, with kubelet.sock left behind. What it does it
writes to a journal, in seconds since the kernel started.
"""

import json
import platform
import time
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import api_server
import trio

from numa_trio.kubelet.rpc.loop import open_bridge
from numa_trio.simulator.admission import Verdict
from numa_trio.simulator.events import Event
from numa_trio.simulator.kubelet import KubeletStandIn, open_kubelet
from numa_trio.simulator.sysfs_tree import read_simulated_machine
from numa_trio.workloads.pod import Pod

ROOT = Path("/var/lib/kubelet")
DEVICE_PLUGINS = ROOT / "device-plugins"
JOURNAL = Path("/run/kubelet.jsonl")
# The container runtime's: nothing of it is there after a reboot.
CONTAINERS = Path("/run/containers")

# Seconds from kubelet.sock to the admission of known pods. Of a real kubelet 2.4 were seen; here an
# agent that shares its processors with others may need 3 to register.
ADMIT_AGAIN = 4.0
ASK_API_SERVER = 0.5  # seconds between two looks for new pods

RUNNING, FAILED = "Running", "Failed"


def write_down(fact: str, **details: Any) -> None:
    """A line of the journal."""
    with JOURNAL.open("a") as journal:
        journal.write(json.dumps({"fact": fact, "at": time.monotonic(), **details}) + "\n")


class Chronicle:
    """Writes down each event, and what is allocatable whenever that changes."""

    def __init__(self) -> None:
        self.kubelet: KubeletStandIn | None = None
        self.allocatable: Mapping[str, int] | None = None

    def note(self, event: Event) -> None:
        """An event happened."""
        write_down(event.kind, subject=event.subject, detail=event.detail)
        if self.kubelet is None:
            return
        devices = self.kubelet.node.devices
        allocatable = {name: devices.allocatable(name) for name in devices.resources}
        if allocatable != self.allocatable:
            self.allocatable = allocatable
            write_down("allocatable", resources=allocatable)


async def serve() -> None:
    """Admit the pods that were there before, then those that are created."""
    chronicle = Chronicle()
    machine = read_simulated_machine(Path("/sys"), platform.node())
    everything = api_server.pods()
    known = [pod for pod in everything if not ended(pod)]
    containers_run = CONTAINERS.exists()
    write_down("started", pods=[pod.name for pod in known], containers_run=containers_run)
    async with (
        open_bridge(),
        open_kubelet(
            DEVICE_PLUGINS,
            machine,
            admit_again=ADMIT_AGAIN,
            on_event=chronicle.note,
            pods=known,
            containers_run=containers_run,
            state=ROOT,
        ) as kubelet,
    ):
        chronicle.kubelet = kubelet
        await kubelet.start()
        report(await kubelet.admitted_again(), restarted=not containers_run)
        CONTAINERS.touch()
        write_down("admitted known pods")
        await admit_new_pods(kubelet, {pod.name for pod in everything})


async def admit_new_pods(kubelet: KubeletStandIn, known: Collection[str]) -> None:
    """Each as soon as it is created."""
    seen = set(known)
    while True:
        if api_server.names() - seen:
            for pod in api_server.pods():
                if pod.name not in seen:
                    seen.add(pod.name)
                    report([await kubelet.admit(pod)], restarted=False)
        await trio.sleep(ASK_API_SERVER)


def ended(pod: Pod) -> bool:
    """Whether it failed, which is for good."""
    status = api_server.statuses().get(pod.name)
    return status is not None and status["phase"] == FAILED


def report(verdicts: Sequence[Verdict], *, restarted: bool) -> None:
    """Tell the API server what became of pods, and how often they were restarted."""
    for verdict in verdicts:
        before = api_server.statuses().get(verdict.pod.name)
        restarts = before["restarts"] + restarted if before else 0
        api_server.report(
            verdict.pod.name,
            {
                "phase": RUNNING if verdict.admitted else FAILED,
                "reason": verdict.reason,
                "message": verdict.message,
                "restarts": restarts,
                "environment": [dict(each.environment) for each in verdict.placements],
                "cpus": [sorted(each.cpus) for each in verdict.placements],
            },
        )


if __name__ == "__main__":
    trio.run(serve)
