"""The real agent, run as a child process with its log in a file."""

import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import trio

_MODULE = "numa_trio.simulator.agent_process"

# As `-m` does, but where this process finds its modules: in an environment, or in a zip.
_RUN_MODULE = (
    "import json, runpy, sys; sys.path[:] = json.loads(sys.argv[1]);"
    " runpy.run_module(sys.argv[2], run_name='__main__', alter_sys=True)"
)

# SIGTERM must end the agent within 2 s; a busy machine gets more time before it is killed.
_FAREWELL = 10.0


class AgentFailed(Exception):
    """The agent ended when it should not have, or did not end well."""


@asynccontextmanager
async def agent_child(variables: Mapping[str, str], log: Path) -> AsyncIterator[int]:
    """Run `numa-trio run` for as long as the context lasts; gives its process id.

    Raises `AgentFailed` as soon as it ends by itself, or at the end if SIGTERM does not end it
    with exit status 0. It is killed if the context is left by an exception.
    """
    with log.open("wb") as output:
        process = await trio.lowlevel.open_process(
            [sys.executable, "-c", _RUN_MODULE, json.dumps(sys.path), _MODULE],
            env=variables,
            stdin=subprocess.PIPE,  # ends with us, and the agent with it
            stdout=output,
            stderr=subprocess.STDOUT,
            process_group=0,  # Ctrl-C is for us: we end it ourselves
        )
    try:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_watch, process)
            yield process.pid
            nursery.cancel_scope.cancel()
        process.terminate()
        with trio.move_on_after(_FAREWELL):
            await process.wait()
        if process.returncode is None:
            raise AgentFailed(f"the agent did not end within {_FAREWELL:g} s of SIGTERM")
        if process.returncode:
            raise AgentFailed(f"after SIGTERM the agent {_ended(process.returncode)}, not 0")
    finally:
        if process.returncode is None:
            process.kill()
            with trio.CancelScope(shield=True):
                await process.wait()
        assert process.stdin is not None
        await trio.aclose_forcefully(process.stdin)


async def _watch(process: trio.Process) -> None:
    raise AgentFailed(f"the agent ended by itself: it {_ended(await process.wait())}")


def _ended(status: int) -> str:
    if status < 0:
        return f"was killed by {signal.Signals(-status).name}"
    return f"exited with status {status}"
