"""The page at `/`, as Chromium shows what the real agent serves beside the kubelet stand-in."""

import socket
import subprocess
import tempfile
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio
from attrs import evolve

from numa_trio.commands.simulate_near import with_near
from numa_trio.commands.simulate_options import add_arguments
from numa_trio.commands.simulate_plan import read_setup
from numa_trio.simulator.trial import Record, open_trial
from numa_trio.workloads.manifest import load_manifests

_CHROMIUM = (
    "chromium",
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--hide-scrollbars",
)
_PATIENCE = 60.0  # seconds


class _Nobody:
    """Whoever does not watch a simulation."""

    def happened(self, seconds: float, what: str) -> None:
        pass

    def waiting(self, what: str) -> None:
        pass


@asynccontextmanager
async def open_page(options: Sequence[str], pods: Path) -> AsyncIterator[str]:
    """The address of the page of an agent whose kubelet has admitted the pods of a file.

    `options` are those of `numa-trio simulate`.
    """
    parser = ArgumentParser()
    add_arguments(parser)
    arguments = parser.parse_args(options)
    setup = with_near(arguments, read_setup(arguments))
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    variables = {**setup.variables, "NUMA_HTTP_ADDR": address, "NUMA_HOST_NAME": "server-1"}
    setup = evolve(setup, variables=variables)
    record = Record()
    with tempfile.TemporaryDirectory(prefix="numa-trio-") as directory:
        async with open_trial(setup, Path(directory), _Nobody(), record) as trial:
            for pod in load_manifests([pods], replicas=1).pods:
                await trial.create(pod)
            yield f"http://{address}/"
    if record.problems:
        raise SystemExit("\n".join(record.problems))


async def photograph(address: str, png: Path, width: int, height: int) -> None:
    """What Chromium draws in a window of that size."""
    size = f"--window-size={width},{height}"
    with trio.fail_after(_PATIENCE), tempfile.TemporaryDirectory() as profile:
        await trio.run_process(
            [*_CHROMIUM, size, f"--user-data-dir={profile}", f"--screenshot={png}", address],
            stderr=subprocess.DEVNULL,
        )
