"""The kubelet side: the Go program in go-kubelet, commanded over its standard input."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from attrs import frozen


class KubeletError(Exception):
    """The kubelet side could not do what it was told; the message is its own."""


@frozen
class Recovery:
    """What came of one start of kubelet.

    `milliseconds` run from the creation of kubelet.sock to the last resource's first list.
    """

    delivered: int
    milliseconds: float
    last_unix_ns: int


@frozen
class Throughput:
    """Latency in milliseconds and calls a second, of all clients together."""

    p50: float
    p99: float
    per_second: float


@frozen
class Kubelet:
    """A kubelet that starts and stops on command, with one directory."""

    resources: int
    _child: "subprocess.Popen[str]"

    def start(self) -> None:
        """Wipe the directory of its sockets, then create kubelet.sock."""
        self._do("start")

    def stop(self) -> None:
        """End every stream and connection; kubelet.sock stays as a dead file."""
        self._do("stop")

    def await_lists(self, seconds: float) -> Recovery:
        """Wait, at most so long, until every resource has delivered its list."""
        answer = self._do("await", seconds=seconds)
        return Recovery(answer["delivered"], answer["last_ms"], answer["last_unix_ns"])

    def allocate(self, clients: int, calls: int) -> Throughput:
        """Have `clients` make `calls` of Allocate together, each one after the other."""
        answer = self._do("allocate", clients=clients, calls=calls)
        return Throughput(answer["p50_ms"], answer["p99_ms"], answer["per_second"])

    def first_lists(self, count: int) -> list[float]:
        """Milliseconds from opening a ListAndWatch stream to its list, `count` a resource."""
        answer: list[float] = self._do("lists", count=count)
        return answer

    def _do(self, verb: str, **arguments: float) -> Any:
        assert self._child.stdin is not None
        assert self._child.stdout is not None
        self._child.stdin.write(json.dumps({"do": verb, **arguments}) + "\n")
        self._child.stdin.flush()
        line = self._child.stdout.readline()
        if not line:
            raise KubeletError(f"the kubelet side ended at {verb!r}: see its log")
        answer = json.loads(line)
        if isinstance(answer, dict) and "error" in answer:
            raise KubeletError(f"{verb}: {answer['error']}")
        return answer


@contextmanager
def kubelet(program: Path, directory: Path, resources: int, log: Path) -> Iterator[Kubelet]:
    """The kubelet side for a plugin with so many resources, not yet started."""
    command = [str(program), "-dir", str(directory), "-resources", str(resources)]
    with (
        log.open("w") as output,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=output, text=True
        ) as child,
    ):
        yield Kubelet(resources, child)
