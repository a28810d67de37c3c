"""A plugin as the runtime knows it: what it has registered as, and what can be asked of it."""

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import trio
from attrs import define, field
from google.protobuf.message import DecodeError

from nri_runtime import messages, ttrpc
from nri_runtime.connection import Connection, Refused
from nri_runtime.faults import Faults
from nri_runtime.library import Library
from nri_runtime.recorder import Recorder

UpdateContainers = Callable[[Any], Awaitable[Any]]


@define(eq=False)
class Peer:
    """Its calls are answered here; `update_containers` does what it asks of the runtime."""

    library: Library
    faults: Faults
    recorder: Recorder
    update_containers: UpdateContainers
    connection: Connection = field(init=False)
    index: str = "??"
    base: str = "plugin"
    refused: str = ""
    events: int = 0
    registered: trio.Event = field(factory=trio.Event)

    @property
    def name(self) -> str:
        return f"{self.index}-{self.base}"

    def wants(self, event: int) -> bool:
        return bool(self.events & 1 << (event - 1))

    async def ask(
        self,
        method: str,
        request: Any,
        answer: Any,
        deadline: float,
        metadata: Mapping[str, str] | None = None,
    ) -> Any:
        """Its answer, of the class `answer`; raises as `Connection.call` does."""
        with self.recorder.exchange("runtime", self.name, method, request) as exchange:
            payload = request.SerializeToString()
            answered = await self.connection.call(method, payload, deadline, metadata)
            exchange.answer = _decoded(answer, answered)
            return exchange.answer

    async def answer(self, method: str, payload: bytes) -> bytes:
        """What the runtime answers to a call of the plugin."""
        called = {
            "RegisterPlugin": (messages.RegisterPluginRequest, self._register),
            "UpdateContainers": (messages.UpdateContainersRequest, self.update_containers),
        }
        if method not in called:
            raise Refused(ttrpc.UNIMPLEMENTED, f"method {method}")
        request_class, do = called[method]
        request = _decoded(request_class, payload)
        with self.recorder.exchange("plugin", self.name, method, request) as exchange:
            exchange.answer = await do(request)
            exchange.plugin = self.name
            await self.faults.before(method)
            answered: bytes = exchange.answer.SerializeToString()
            return answered

    async def _register(self, request: Any) -> Any:
        await trio.lowlevel.checkpoint()
        name, index = request.plugin_name, request.plugin_idx
        try:
            if self.library.checks_names and not re.fullmatch(r"[A-Za-z0-9_.+-]+", name):
                raise Refused(ttrpc.UNKNOWN, f'invalid plugin name: "{name}"')
            if not re.fullmatch(r"[0-9]{2}", index):
                raise Refused(ttrpc.UNKNOWN, f'invalid plugin index: "{index}"')
            self.index, self.base = index, name
        except Refused as refused:
            self.refused = str(refused)
            raise
        finally:
            self.registered.set()
        return messages.Empty()


def _decoded(message: Any, payload: bytes) -> Any:
    try:
        return message.FromString(payload)
    except DecodeError as error:
        raise Refused(ttrpc.UNKNOWN, f"failed to unmarshal: {error}") from None
