"""The parts of asyncio, grpclib and h2 that they do not document, and that we need nonetheless.

Each use of a private name, or of a class that the library does not document, stands here;
docs/decisions/0012-the-bridge-is-a-package.md says what each is for, and what to do if it goes.
"""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import grpclib.server
import h2.connection
from grpclib.config import Configuration
from grpclib.protocol import H2Protocol

# h2 remembers how each stream of a connection ended, by default of the last 65,536: that is 7 MiB
# of memory for the one connection that kubelet keeps. Only frames that cross in flight need it.
h2.connection.H2Connection.MAX_CLOSED_STREAMS = 1024

# A Unix socket tells when its peer goes. Each timer, though cancelled, would be kept for two hours.
_NO_KEEPALIVE = Configuration(_keepalive_time=None)


@contextmanager
def running_loop(loop: asyncio.AbstractEventLoop) -> Iterator[None]:
    """Let asyncio's C code find `loop`.

    trio-asyncio answers get_running_loop(); from Python 3.12 on, current_task() is C and asks the
    interpreter instead. Without this, grpclib and asyncio's timeouts find no loop there.
    """
    asyncio._set_running_loop(loop)  # noqa: SLF001  meant for event loops, as this is
    try:
        yield
    finally:
        asyncio._set_running_loop(None)  # noqa: SLF001


class GrpcConnection(H2Protocol):
    """A peer's connection to a `GrpcServer`, as grpclib makes it once it is `admitted`."""

    transport: asyncio.Transport
    admitted = False

    def admit(self, transport: asyncio.Transport) -> None:
        """Begin to speak HTTP/2."""
        self.transport = transport
        self.admitted = True
        super().connection_made(transport)

    def process(self, data: bytes) -> None:
        """Handle what the peer sent, as grpclib does, which however closes in silence on errors.

        Raises whatever a peer can make h2 or grpclib raise.
        """
        events = self.connection.feed(data)
        self.connection.flush()
        for event in events:
            self.processor.process(event)
        self.connection.flush()

    def connection_lost(self, exc: BaseException | None) -> None:
        """End the calls of a connection that was admitted."""
        if self.admitted:
            super().connection_lost(exc)

    @property
    def resets(self) -> int:
        """How many of its calls have been reset by either side."""
        return self.connection.streams_failed

    @property
    def open_calls(self) -> int:
        """How many calls are being answered."""
        return len(self.processor.streams)

    @property
    def largest_request(self) -> int:
        """The bytes of the largest request among the open calls."""
        return max((one.data_received for one in self.processor.streams.values()), default=0)


class GrpcServer(grpclib.server.Server):
    """grpclib's server, whose connections are made by `make_connection`."""

    def __init__(self, service: Any) -> None:
        super().__init__([service], config=_NO_KEEPALIVE)

    def make_connection(self, *arguments: Any) -> GrpcConnection:
        """A `GrpcConnection`, or one derived from it, made with these arguments."""
        return GrpcConnection(*arguments)

    def _protocol_factory(self) -> H2Protocol:
        protocol = super()._protocol_factory()
        return self.make_connection(protocol.handler, protocol.config, protocol.h2_config)
