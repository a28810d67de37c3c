"""Kubelet's pod-resources API as its clients call it: what it can give away, and who has what."""

import asyncio
import os
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import grpclib.client
import trio_asyncio
from grpclib.const import Cardinality
from grpclib.exceptions import GRPCError

from numa_trio.kubelet.api import v1 as api
from numa_trio.kubelet.errors import PodResourcesUnavailable
from numa_trio.kubelet.rpc.internals import received_bytes
from numa_trio.kubelet.rpc.pod_resources_wire import HoldingsReader, decode_allocatable
from numa_trio.kubelet.rpc.wire import MalformedMessage
from numa_trio.plugin.holdings import Allocatable, ContainerHoldings

T = TypeVar("T")

# Kubelet answers in milliseconds. Seconds.
DEADLINE = 5.0

# What kubelet's own clients accept.
MAX_ANSWER_BYTES = 16 * 1024 * 1024

_SERVICE = "/v1.PodResourcesLister"
_PREFIX = struct.Struct(">?I")  # whether a message is compressed, and its length in bytes


class PodResourcesClient:
    """One connection to pod-resources/kubelet.sock, made when it is needed, and anew if broken.

    Every call raises `PodResourcesUnavailable`, and takes `DEADLINE` at most.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._channel = grpclib.client.Channel(path=os.fspath(path))
        self._reader = HoldingsReader()

    async def allocatable(self) -> Allocatable:
        """Call GetAllocatableResources; the devices in the answer are left out."""
        return await self._call(
            "GetAllocatableResources", api.AllocatableResourcesRequest(), decode_allocatable
        )

    async def list_holdings(self) -> tuple[ContainerHoldings, ...]:
        """Call List."""
        return await self._call("List", api.ListPodResourcesRequest(), self._reader.decode)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    async def _call(self, method: str, request: object, decode: Callable[[bytes], T]) -> T:
        try:
            answer = await trio_asyncio.aio_as_trio(self._ask)(method, request)
            return decode(answer)
        except GRPCError as error:
            problem = f"{error.status.name}: {error.message or 'no message'}"
            raise self._unavailable(method, problem) from error
        except TimeoutError as error:
            raise self._unavailable(method, f"no answer within {DEADLINE:g} s") from error
        except MalformedMessage as error:
            raise self._unavailable(method, f"the answer is no such message: {error}") from error
        except FileNotFoundError as error:
            problem = "there is no such socket; is kubelet's pod-resources directory mounted?"
            raise self._unavailable(method, problem) from error
        except OSError as error:
            raise self._unavailable(method, error.strerror or repr(error)) from error
        except Exception as error:  # whatever nonsense can make h2 or grpclib raise
            raise self._unavailable(method, f"no proper answer: {error!r}") from error

    async def _ask(self, method: str, request: object) -> bytes:
        async with (
            asyncio.timeout(DEADLINE),
            self._channel.request(
                f"{_SERVICE}/{method}",
                Cardinality.UNARY_UNARY,
                type(request),
                bytes,
                timeout=DEADLINE,
            ) as stream,
        ):
            await stream.send_message(request, end=True)
            await stream.recv_initial_metadata()
            answer = b""
            if prefix := await received_bytes(stream, _PREFIX.size):
                compressed, length = _PREFIX.unpack(prefix)
                if compressed:
                    raise MalformedMessage("it is compressed, which nobody asked for")
                if length > MAX_ANSWER_BYTES:
                    raise MalformedMessage(
                        f"it has {length} bytes; at most {MAX_ANSWER_BYTES} are read"
                    )
                answer = await received_bytes(stream, length)
            await stream.recv_trailing_metadata()
            return answer

    def _unavailable(self, method: str, problem: str) -> PodResourcesUnavailable:
        return PodResourcesUnavailable(f"{self._path}: {method}: {problem}")


@asynccontextmanager
async def connect_pod_resources(path: Path) -> AsyncIterator[PodResourcesClient]:
    """A client for as long as the context lasts. Connects at the first call."""
    client = PodResourcesClient(path)
    try:
        yield client
    finally:
        client.close()
