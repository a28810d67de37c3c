"""The asyncio loop inside Trio: opened once, around everything else of the bridge."""

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import trio_asyncio

from numa_trio.kubelet.rpc.internals import running_loop
from numa_trio.kubelet.rpc.peer_log import PeerLog

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_bridge() -> AsyncIterator[None]:
    """Run the asyncio loop for as long as the context lasts."""
    async with trio_asyncio.open_loop() as loop:
        # The default would end the whole process for what one peer sent or one callback did.
        loop.set_exception_handler(_AsyncioProblems())
        with running_loop(loop):
            yield


class _AsyncioProblems:
    """What asyncio cannot handle is logged: each message once a minute, for some come in floods."""

    def __init__(self) -> None:
        self._log = PeerLog(log)

    def __call__(self, _loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        message, problem = str(context.get("message")), context.get("exception")
        if self._log.warn(message, "In the gRPC connections: %s: %r", message, problem):
            log.debug("Where it came from", exc_info=problem)
