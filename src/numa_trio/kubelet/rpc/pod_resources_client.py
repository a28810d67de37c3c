"""Kubelet's pod-resources API as those call it who want to know what containers have."""

import errno
import os
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import trio
import trio_asyncio
from grpclib.const import Cardinality, Status
from grpclib.encoding.base import CodecBase
from grpclib.exceptions import GRPCError, StreamTerminatedError

from numa_trio.kubelet.errors import PodResourcesUnavailable
from numa_trio.kubelet.rpc.internals import AnswerChannel, receive_answer
from numa_trio.kubelet.rpc.limits import MAX_ANSWER_BYTES
from numa_trio.kubelet.rpc.pod_resources_wire import HoldingsReader, decode_allocatable
from numa_trio.plugin.holdings import Allocatable, ContainerHoldings
from numa_trio.protobuf import MalformedMessage, MessageTooLarge

# How long one call may take, in seconds. Kubelet answers in milliseconds.
DEADLINE = 5.0

_SERVICE = "/v1.PodResourcesLister"

# What HTTP/2 takes around an answer comes on top.
_MOST_FOR_AN_ANSWER = MAX_ANSWER_BYTES + MAX_ANSWER_BYTES // 64 + 64 * 1024

_LONGEST_REASON = 500  # characters, some of which are the peer's

_EMPTY_REQUEST = b""  # both requests have no fields

T = TypeVar("T")


class _Bytes(CodecBase):
    """Requests are bytes already; answers are read elsewhere."""

    __content_subtype__ = "proto"

    def encode(self, message: Any, message_type: Any) -> bytes:
        assert isinstance(message, bytes)
        return message

    def decode(self, data: bytes, message_type: Any) -> Any:
        raise NotImplementedError


class PodResourcesClient:
    """One connection to kubelet's pod-resources socket, made when it is needed.

    Every call raises `PodResourcesUnavailable`, and takes `DEADLINE` at the most.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._reader = HoldingsReader()
        self._channel = AnswerChannel(os.fspath(path), _Bytes(), _MOST_FOR_AN_ANSWER)

    async def allocatable(self) -> Allocatable:
        """Call GetAllocatableResources: what kubelet can give away, whoever has it."""
        return await self._ask("GetAllocatableResources", decode_allocatable)

    async def list_holdings(self) -> tuple[ContainerHoldings, ...]:
        """Call List: what the containers of all active pods have, in no particular order."""
        return await self._ask("List", self._reader.decode)

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()

    async def _ask(self, method: str, decode: Callable[[bytearray], T]) -> T:
        problem: Exception
        try:
            with trio.fail_after(DEADLINE):
                answer = await trio_asyncio.aio_as_trio(self._call)(method)
            return decode(answer)
        except trio.TooSlowError as error:
            reason, problem = f"no answer within {DEADLINE:g} s", error
        except GRPCError as error:
            reason, problem = _refusal(error), error
        except OSError as error:
            reason, problem = _broken(error), error
        except StreamTerminatedError as error:
            reason, problem = f"the connection broke: {error}", error
        except MessageTooLarge as error:
            reason, problem = f"{error}, more than is taken", error
        except MalformedMessage as error:
            reason, problem = f"the answer is no such message: {error}", error
        except Exception as error:  # noqa: BLE001  whatever bytes make h2, grpclib or us raise
            reason, problem = f"no proper answer: {error!r}", error
        self.close()
        raise PodResourcesUnavailable(
            f"{self._path}: {method}: {reason[:_LONGEST_REASON]}"
        ) from problem

    async def _call(self, method: str) -> bytearray:
        request = self._channel.request(
            f"{_SERVICE}/{method}", Cardinality.UNARY_UNARY, bytes, bytes
        )
        async with request as call:
            await call.send_message(_EMPTY_REQUEST)
            return await receive_answer(call, MAX_ANSWER_BYTES)


def _refusal(error: GRPCError) -> str:
    refusal = f"{error.status.name}: {error.message}" if error.message else error.status.name
    if error.status is Status.RESOURCE_EXHAUSTED:
        return f"{refusal} (kubelet answers 100 calls a second, of all who ask together)"
    if error.status is Status.UNIMPLEMENTED:
        return f"{refusal} (kubelet has it from Kubernetes 1.28 on)"
    return refusal


def _broken(error: OSError) -> str:
    if error.errno in (errno.ENOENT, errno.ENOTDIR):
        return "there is no such socket (is the directory mounted, and below kubelet's --root-dir?)"
    if error.errno == errno.ECONNREFUSED:
        return "nobody listens on the socket: kubelet is down, or has its socket elsewhere"
    return error.strerror or str(error)


@asynccontextmanager
async def connect_pod_resources(socket: Path) -> AsyncIterator[PodResourcesClient]:
    """A client for as long as the context lasts. Connects at the first call, and anew if broken."""
    client = PodResourcesClient(socket)
    try:
        yield client
    finally:
        client.close()
