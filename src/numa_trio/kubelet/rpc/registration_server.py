"""Kubelet's socket, for the stand-in: answers Register."""

import logging
import socket
from collections.abc import Awaitable, Callable
from typing import NoReturn

import trio
import trio_asyncio
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from numa_trio.kubelet.api import v1beta1 as api
from numa_trio.kubelet.errors import RegistrationRefused
from numa_trio.kubelet.rpc.limits import SMALL
from numa_trio.kubelet.rpc.messages import decode_registration
from numa_trio.kubelet.rpc.peer_log import PeerLog
from numa_trio.kubelet.rpc.server import Server, serve
from numa_trio.plugin.messages import Registration

log = logging.getLogger(__name__)


async def serve_registration(
    register: Callable[[Registration], Awaitable[None]],
    listener: socket.socket,
    *,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> NoReturn:
    """Answer Register on a bound, listening socket until cancelled; then drop every connection.

    `register` is a Trio function; it raises `RegistrationRefused` to refuse.
    """
    server = Server(_Servicer(register), PeerLog(log), lambda: SMALL)
    await serve(server, listener, task_status)


class _Servicer(api.RegistrationBase):
    """What plugins call, documented in proto/."""

    def __init__(self, register: Callable[[Registration], Awaitable[None]]) -> None:
        self._register = trio_asyncio.trio_as_aio(register)

    async def register(self, message: api.RegisterRequest) -> api.Empty:
        try:
            await self._register(decode_registration(message))
        except RegistrationRefused as refusal:
            raise GRPCError(Status.UNKNOWN, str(refusal)) from None
        return api.Empty()
