"""Where a plugin is measured: a fresh process of it beside a kubelet, in their own directories."""

import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from attrs import frozen

from benchmarks.kubelet import Kubelet, kubelet
from benchmarks.machine import write_sysfs
from benchmarks.quota import cpu_quota
from benchmarks.subject import Process, Subject

_START_SECONDS = 60.0


@frozen
class Service:
    """A plugin that streams to a kubelet, and what it took: seconds since the process began."""

    kubelet: Kubelet
    plugin: Process
    start_seconds: float
    start_cpu_seconds: float


@frozen
class Testbed:
    """The kubelet side's program, and where both sides' logs go."""

    kubelet_program: Path
    logs: Path

    @contextmanager
    def serving(
        self, subject: Subject, nodes: int = 2, slots: int = 100, cpus: float | None = None
    ) -> Iterator[Service]:
        """The plugin, started when kubelet already runs, once every list has been delivered.

        `cpus` limits its CPU time. Raises TimeoutError if a list does not come.
        """
        with ExitStack() as stack:
            # A short path, because a socket's may have 107 bytes.
            root = Path(stack.enter_context(TemporaryDirectory(prefix="numa-bench-")))
            sockets = root / "device-plugins"
            sockets.mkdir()
            write_sysfs(root / "sys", nodes)
            environment = {
                "NUMA_SOCKET_DIR": str(sockets),
                "NUMA_SYSFS_ROOT": str(root / "sys"),
                "NUMA_CAPACITY": str(slots),
                "NUMA_HTTP_ADDR": "127.0.0.1:0",
            }
            server = stack.enter_context(
                kubelet(self.kubelet_program, sockets, nodes, self.logs / "kubelet.log")
            )
            server.start()
            launcher = () if cpus is None else stack.enter_context(cpu_quota(cpus))
            log = self.logs / f"{subject.name}.log"
            began = time.time_ns()
            plugin = stack.enter_context(subject.running(environment, log, launcher))
            lists = server.await_lists(_START_SECONDS)
            cpu_seconds = plugin.cpu_seconds()
            if lists.delivered < nodes:
                raise TimeoutError(
                    f"{subject.name}: {lists.delivered} of {nodes} lists came; see {log}"
                )
            yield Service(server, plugin, (lists.last_unix_ns - began) / 1e9, cpu_seconds)
