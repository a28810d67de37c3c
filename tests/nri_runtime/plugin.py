"""A plugin written by hand, to try the stand-in with; as a program, it pins whatever is created.

python -m nri_runtime.plugin /var/run/nri/nri.sock 2-3 1
"""

import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import trio
from attrs import define, field

from nri_runtime import messages, mux, ttrpc
from nri_runtime.connection import Connection, Refused
from nri_runtime.cri import Resources

_REQUESTS = {
    "Configure": messages.ConfigureRequest,
    "Synchronize": messages.SynchronizeRequest,
    "CreateContainer": messages.CreateContainerRequest,
    "UpdateContainer": messages.UpdateContainerRequest,
    "StopContainer": messages.CreateContainerRequest,
    "StateChange": messages.StateChangeEvent,
}

Handler = Callable[[Any], Awaitable[Any]]


@define(eq=False)
class Plugin:
    """Answers by its `handlers`, and with nothing where there is none; `heard` is all it was told.

    A method that is not in `known` is answered by UNIMPLEMENTED.
    """

    name: str = "test"
    index: str = "10"
    events: int = 0x88
    handlers: Mapping[str, Handler] = field(factory=dict)
    known: Mapping[str, Any] = field(factory=lambda: dict(_REQUESTS))
    heard: list[tuple[str, Any]] = field(factory=list)
    connection: Connection = field(init=False)

    def told(self, method: str) -> list[Any]:
        """The requests of that method, in their order."""
        return [request for one, request in self.heard if one == method]

    async def register(self) -> None:
        """Raises what `Connection.call` does."""
        request = messages.RegisterPluginRequest(plugin_name=self.name, plugin_idx=self.index)
        await self.connection.call("RegisterPlugin", request.SerializeToString())

    async def update_containers(self, *updates: Any) -> list[Any]:
        """Ask the runtime for that; what has failed."""
        request = messages.UpdateContainersRequest(update=updates)
        answer = await self.connection.call("UpdateContainers", request.SerializeToString())
        return list(messages.UpdateContainersResponse.FromString(answer).failed)

    async def answer(self, method: str, payload: bytes) -> bytes:
        if method not in self.known:
            raise Refused(ttrpc.UNIMPLEMENTED, f"no {method}")
        request = self.known[method].FromString(payload)
        self.heard.append((method, request))
        if method in self.handlers:
            answer = await self.handlers[method](request)
        elif method == "Configure":
            answer = messages.ConfigureResponse(events=self.events)
        elif method == "Synchronize":
            answer = messages.SynchronizeResponse(more=request.more)
        else:
            answer = messages.Empty()
        encoded: bytes = answer.SerializeToString()
        return encoded


def adjustment(**resources: Any) -> Any:
    """The answer to CreateContainer that asks for these."""
    asked = Resources(**resources).message()
    return messages.CreateContainerResponse(adjust={"linux": {"resources": asked}})


def update(container: str, *, ignore_failure: bool = False, **resources: Any) -> Any:
    """A ContainerUpdate to these."""
    asked = Resources(**resources).message()
    return messages.ContainerUpdate(
        container_id=container, linux={"resources": asked}, ignore_failure=ignore_failure
    )


@asynccontextmanager
async def open_plugin(
    socket: Path,
    plugin: Plugin | None = None,
    *,
    register: bool = True,
    cut: mux.Cut = mux.in_full_frames,
) -> AsyncIterator[Plugin]:
    """Connect it, and let it answer; hang up at the end."""
    plugin = plugin or Plugin()
    stream = await trio.open_unix_socket(str(socket))
    plugin.connection = Connection(stream, "Runtime", plugin.answer, cut)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(plugin.connection.run)
        if register:
            await plugin.register()
        yield plugin
        nursery.cancel_scope.cancel()


async def _pin(socket: Path, cpus: str, mems: str) -> None:
    async def pin(_: Any) -> Any:
        await trio.lowlevel.checkpoint()
        return adjustment(cpus=cpus, mems=mems)

    async with open_plugin(socket, Plugin(handlers={"CreateContainer": pin})) as plugin:
        await plugin.connection.closed.wait()


if __name__ == "__main__":
    trio.run(_pin, Path(sys.argv[1]), sys.argv[2], sys.argv[3])
