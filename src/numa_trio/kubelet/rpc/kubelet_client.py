"""Kubelet as a plugin calls it: Register."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpclib.client
import trio
import trio_asyncio
from grpclib.exceptions import GRPCError

from numa_trio.kubelet.api import v1beta1 as api
from numa_trio.kubelet.errors import KubeletUnavailable, RegistrationRefused
from numa_trio.kubelet.rpc.messages import encode_registration
from numa_trio.plugin.messages import Registration

# Kubelet dials back for up to 10 s before it answers Register.
REGISTER_TIMEOUT = 15.0

# Calls at once. A peer that allows fewer can say so only when it has our first ones.
_AT_ONCE = 24


class KubeletClient:
    """One connection to kubelet.sock, made when it is needed."""

    def __init__(self, kubelet_socket: Path) -> None:
        self._path = kubelet_socket
        self._channel = grpclib.client.Channel(path=os.fspath(kubelet_socket))
        self._stub = api.RegistrationStub(self._channel)
        self._turns = trio.CapacityLimiter(_AT_ONCE)

    async def register(self, registration: Registration) -> None:
        """Register a resource, whose socket must be served already.

        Raises `RegistrationRefused` or `KubeletUnavailable`.
        """
        request = encode_registration(registration)
        call = trio_asyncio.aio_as_trio(self._stub.register)
        try:
            async with self._turns:
                await call(request, timeout=REGISTER_TIMEOUT)
        except GRPCError as error:
            raise RegistrationRefused(_describe(error)) from error
        except TimeoutError as error:
            raise KubeletUnavailable(f"no answer within {REGISTER_TIMEOUT:g} s") from error
        except OSError as error:
            raise KubeletUnavailable(f"{self._path}: {error.strerror or error}") from error
        except Exception as error:  # whatever nonsense can make h2, grpclib or the parser raise
            raise KubeletUnavailable(f"{self._path}: no proper answer: {error!r}") from error

    def close(self) -> None:
        """Close the connection."""
        self._channel.close()


@asynccontextmanager
async def connect_kubelet(kubelet_socket: Path) -> AsyncIterator[KubeletClient]:
    """A client for as long as the context lasts. Connects at the first call, and anew if broken."""
    client = KubeletClient(kubelet_socket)
    try:
        yield client
    finally:
        client.close()


def _describe(error: GRPCError) -> str:
    return f"{error.status.name}: {error.message}" if error.message else error.status.name
