"""The page at `/`, as Chromium shows what the real agent serves beside the kubelet stand-in."""

import socket
import subprocess
import tempfile
from argparse import ArgumentParser
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.request import urlopen

import trio
from attrs import evolve

from numa_trio.commands.simulate_near import with_near
from numa_trio.commands.simulate_options import add_arguments
from numa_trio.commands.simulate_plan import read_setup
from numa_trio.simulator.record import Record
from numa_trio.simulator.trial import open_trial
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
_WIDTH, _HEIGHT = 1200, 900


class _Nobody:
    """Whoever does not watch a simulation."""

    def happened(self, seconds: float, what: str) -> None:
        pass

    def waiting(self, what: str) -> None:
        pass


def photograph_page(pods: Path, png: Path) -> None:
    """The page of a server that counts CPUs, once the agent knows of all its pods."""
    trio.run(_photograph_page, pods, png)


async def _photograph_page(pods: Path, png: Path) -> None:
    async with open_page(["--counted", "cpu"], pods) as address:
        with trio.fail_after(_PATIENCE):
            while not await _names_all(address, pods):  # noqa: ASYNC110  nobody tells us
                await trio.sleep(0.2)
        await photograph(address, png, _WIDTH, _HEIGHT)


async def _names_all(address: str, pods: Path) -> bool:
    """Whether the page has each pod: the agent asks kubelet once a second."""
    with await trio.to_thread.run_sync(urlopen, address) as answer:
        page = answer.read().decode()
    return all(pod.name in page for pod in load_manifests([pods], replicas=1).pods)


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
