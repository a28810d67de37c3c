"""The containers of the runtime's observation: how they are started, updated, and looked at."""

import os
import select
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from cgroups import Neighbours, anonymous_pages, placement
from containerd import SLEEP, image_name
from cri import Container, Pod, Runtime, Workload
from kubelet_view import PATIENCE
from telling import tell

KEY = "numa-align/node"
_BETWEEN_LOOKS = 0.5  # seconds
NO_ANNOTATIONS: Mapping[str, str] = {}

# Holds 20 MiB of node 0, where it may run on CPU 0, and says through a pipe when it has them.
READY = Path("/run/ready")
HOLDER = (
    "/bin/busybox taskset 1 /bin/busybox dd if=/dev/zero bs=20M count=1"
    " | { /bin/busybox head -c 1 >/ready/pipe; exec /bin/busybox sleep 2147483647; }"
)


class Stage:
    """The runtime, a pod without annotations of its own, and all containers by their names.

    `given` is what Allocate says for a container that holds a device of NUMA node 0, or of node 1.
    """

    def __init__(self, runtime: Runtime, given: Sequence[Mapping[str, str]]) -> None:
        self.runtime = runtime
        self.given = given
        self.plain = runtime.run_pod("plain", annotations={}, labels=given[1])
        self.containers: dict[str, Container] = {}
        self.neighbours = Neighbours()
        READY.mkdir()
        os.mkfifo(READY / "pipe")

    def start(
        self,
        name: str,
        annotations: Mapping[str, str] = NO_ANNOTATIONS,
        pod: Pod | None = None,
        **rest: Any,
    ) -> None:
        """Start a container with these annotations of kubelet's, and print its sets."""
        rest.setdefault("command", SLEEP)
        workload = Workload(name, image_name(), annotations=annotations, **rest)
        container = self.runtime.create(pod or self.plain, workload)
        self.runtime.start(container)
        self.containers[name] = container
        self.neighbours.tell(f"{name}: started", container.cgroup)
        tell("started", name=name, **placement(container))

    def hold(self, name: str, annotations: Mapping[str, str], **rest: Any) -> None:
        """Start a container that holds memory, and wait until it does."""
        command = ("/bin/busybox", "sh", "-c", HOLDER)
        pipe = os.open(READY / "pipe", os.O_RDONLY | os.O_NONBLOCK)
        try:
            self.start(name, annotations, command=command, mounts={str(READY): "/ready"}, **rest)
            if not select.select([pipe], [], [], PATIENCE)[0]:
                raise TimeoutError(f"{name} did not fill its memory")
        finally:
            os.close(pipe)

    def update(self, name: str, **resources: Any) -> None:
        """Have a container's resources changed, and print its sets."""
        container = self.containers[name]
        self.runtime.update(container, **resources)
        self.neighbours.tell(f"{name}: {resources}", container.cgroup)
        tell("updated", name=name, asked=resources, **placement(container))

    def tell_pages(self, moment: str, *names: str) -> None:
        """Print on which nodes the memory is that containers hold, and their sets."""
        for name in names:
            container = self.containers[name]
            pages = _settled_pages(container)
            tell("pages", moment=moment, name=name, pages=pages, **placement(container))


def _settled_pages(container: Container) -> dict[str, int]:
    """The pages once they are the same at two looks: programs may still be starting."""
    deadline = time.monotonic() + PATIENCE
    pages = anonymous_pages(container)
    while time.monotonic() < deadline:
        time.sleep(_BETWEEN_LOOKS)
        before, pages = pages, anonymous_pages(container)
        if pages == before:
            return pages
    raise TimeoutError(f"the pages of {container} change all the time, now {pages}")


def start_before_the_agent(stage: Stage) -> None:
    """A container that should be on node 1, and a bystander, both with memory of node 0."""
    stage.hold("left behind", stage.given[1])
    stage.hold("bystander", {}, environment={"NUMA_NODE": "1", **stage.given[1]})
    stage.tell_pages("before", "left behind", "bystander")


def start_containers(stage: Stage) -> None:
    """With a device, and with sets that kubelet's managers chose."""
    stage.start("node 0", stage.given[0])
    stage.start("node 1", stage.given[1])
    stage.start("two nodes", {KEY: "0-1"})
    stage.start("node without CPUs", {KEY: "2"})
    stage.start("no such node", {KEY: "7"})
    stage.start("exclusive", stage.given[1], cpus="2", mems="1")
    stage.start("partly outside", stage.given[1], cpus="0-2", mems="0-1")


def start_pretenders(stage: Stage) -> None:
    """A pod that says of itself what only kubelet may say of a container."""
    pod = stage.runtime.run_pod("pretender", annotations=stage.given[1], labels={})
    stage.neighbours.tell("pretender: its pod", pod.cgroup)
    stage.start("pretends", pod=pod)
    stage.start("pretends and holds", stage.given[0], pod)


def update_containers(stage: Stage) -> None:
    """As kubelet's CPU Manager does it, and as an in-place resize does."""
    for cpus in ("3", "0-2", "0-1", "0-3"):
        stage.update("node 1", cpuset_cpus=cpus)
    stage.update("node 1", cpu_shares=204)
    for cpus in ("0-2", "0-3"):
        stage.update("bystander", cpuset_cpus=cpus)
