"""One connection to the container runtime: registers, and answers until the connection ends.

Whatever goes wrong ends the session: to connect anew is always safe, since the runtime then tells
of all containers that it has.
"""

import logging
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import NoReturn, Protocol

import trio
from attrs import define, field

from numa_trio.runtime import repairs
from numa_trio.runtime.messages import (
    Creation,
    Event,
    Runtime,
    Update,
    decode_configuration,
    decode_creation,
    decode_snapshot,
    decode_update,
    encode_adjustment,
    encode_registration,
    encode_snapshot_taken,
    encode_subscription,
    encode_update,
)
from numa_trio.runtime.pinning import Decision
from numa_trio.runtime.repairs import Repairs
from numa_trio.runtime.ttrpc import Answer, Call, ProtocolViolation, Status, Wire

log = logging.getLogger(__name__)

NAME = "numa-trio"

# Plugins are called in the order of this. What kubelet and others want is to be known by then.
INDEX = "90"

# Seconds. The runtime hears one plugin after the other, and one that is silent takes it 5 s.
_CONFIGURED_WITHIN = 30.0
_SYNCHRONIZED_WITHIN = 10.0
_SENT_WITHIN = 5.0
_LISTENS_EVERY = 0.2

# Seconds until the runtime, which has its answer to Synchronize, has noted us as a plugin. To old
# ones, what is created before that is told to nobody; so they must not have to wait for anything.
_NOTED_AFTER = 1.0

_READ_BYTES = 64 << 10


class RuntimeLost(Exception):
    """The session has ended; the message says how."""


class Handler(repairs.Handler, Protocol):
    """Who decides what containers get. A call of CreateContainer or UpdateContainer must be fast.

    None is for a container that is to be left alone.
    """

    def configured(self, runtime: Runtime) -> None:
        """It is this runtime."""

    def synchronized(self) -> None:
        """From now on the runtime tells of each container."""

    async def create(self, event: Creation) -> Decision | None:
        """A container is about to be created."""

    async def update(self, event: Update) -> Decision | None:
        """A container is about to get what was asked for."""


@define(eq=False)
class Session:
    """Runs over `stream` until that ends, or something is wrong with it: `RuntimeLost`."""

    stream: trio.abc.Stream
    handler: Handler
    _wire: Wire = field(init=False, factory=Wire)
    _sending: trio.Lock = field(init=False, factory=trio.Lock)
    _waiting: dict[int, Callable[[Answer], None]] = field(init=False, factory=dict)
    _configured: trio.Event = field(init=False, factory=trio.Event)
    _synchronized: trio.Event = field(init=False, factory=trio.Event)
    _complete: bool = field(init=False, default=False)  # all that the runtime has is told
    _silent_at: float = field(init=False, default=0.0)  # then no Synchronize had begun to come
    _repairs: Repairs = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._repairs = Repairs(self.handler, self._call)

    async def run(self) -> NoReturn:
        """Register, and answer. Raises `RuntimeLost`, in an exception group."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._read)
            nursery.start_soon(self._start)
            await self._synchronized.wait()
            if self._repairs.may_be_due:
                await trio.sleep(_NOTED_AFTER)
                await self._repairs.make()
            self._repairs.forget()
            await trio.sleep_forever()
        raise AssertionError("it runs until it fails")

    async def _start(self) -> None:
        with _within(_CONFIGURED_WITHIN, "taken us as a plugin"):
            # The runtime may configure us before it answers this.
            answer = await self._call("RegisterPlugin", encode_registration(NAME, INDEX))
            if answer.problem:
                raise RuntimeLost(f"the runtime does not take us as a plugin: {answer.problem}")
            await self._configured.wait()
        with _within(_SYNCHRONIZED_WITHIN, "told its containers"):
            await self._wait_synchronized()

    async def _wait_synchronized(self) -> None:
        """Note now and then that nothing has come: who gets no time does not know when it came."""
        while not self._synchronized.is_set():
            began = trio.current_time()
            with trio.move_on_after(_LISTENS_EVERY):
                await self._synchronized.wait()
            late = trio.current_time() - began > 2 * _LISTENS_EVERY
            if not (late or self._wire.is_within):
                self._silent_at = trio.current_time()

    async def _read(self) -> NoReturn:
        while True:
            try:
                data = await self.stream.receive_some(_READ_BYTES)
            except (trio.BrokenResourceError, trio.ClosedResourceError) as problem:
                raise RuntimeLost(f"the connection broke: {problem}") from problem
            if not data:
                raise RuntimeLost("the runtime closed the connection")
            try:
                for message in self._wire.receive(data):
                    if isinstance(message, Call):
                        await self._answer(message)
                    elif waiting := self._waiting.pop(message.stream, None):
                        waiting(message)
                    else:
                        raise RuntimeLost(f"an answer to {message.stream}, which was not asked")
            except ProtocolViolation as problem:
                raise RuntimeLost(f"the runtime sent {problem}") from problem

    async def _call(self, method: str, payload: bytes) -> Answer:
        """Call the runtime. However long it takes: what hangs ends with the session."""
        answered = trio.Event()
        answers: list[Answer] = []

        def take(answer: Answer) -> None:
            answers.append(answer)
            answered.set()

        stream, data = self._wire.call(method, payload)
        self._waiting[stream] = take
        await self._send(data)
        await answered.wait()
        return answers[0]

    async def _send(self, data: bytes) -> None:
        with trio.move_on_after(_SENT_WITHIN) as sending:
            async with self._sending:
                try:
                    await self.stream.send_all(data)
                except (trio.BrokenResourceError, trio.ClosedResourceError) as problem:
                    raise RuntimeLost(f"the connection broke: {problem}") from problem
        if sending.cancelled_caught:
            raise RuntimeLost(f"the runtime reads nothing for {_SENT_WITHIN:g} s")

    async def _answer(self, call: Call) -> None:
        """Answer a call. Of one that fails here, the container's creation must not fail."""
        handlers: dict[str, Callable[[bytes], Awaitable[bytes]]] = {
            "Configure": self._configure,
            "Synchronize": self._synchronize,
            "CreateContainer": self._create,
            "UpdateContainer": self._update,
        }
        handle = handlers.get(call.method)
        if handle is None:
            # Nothing else was asked for; newer runtimes take this for an answer.
            await self._send(self._wire.refuse(call.stream, Status.UNIMPLEMENTED, call.method))
            return
        payload = b""
        if call.payload is None:
            log.warning("The runtime's %s is too long to be read: nothing is changed", call.method)
            self._complete = self._complete or call.method == "Synchronize"
        else:
            try:
                payload = await handle(call.payload)
            except Exception:
                log.exception("%s failed, which is a defect: nothing is changed", call.method)
        await self._send(self._wire.answer(call.stream, payload))
        if self._complete and not self._synchronized.is_set():
            waited = trio.current_time() - self._silent_at
            if call.timeout is not None and waited > call.timeout:
                # Old runtimes go on, and never tell of a container.
                raise RuntimeLost(f"Synchronize was answered later than its {call.timeout:g} s")
            self._synchronized.set()
            self.handler.synchronized()

    async def _configure(self, payload: bytes) -> bytes:
        self.handler.configured(decode_configuration(payload))
        self._silent_at = trio.current_time()
        self._configured.set()
        return encode_subscription((Event.CREATE_CONTAINER, Event.UPDATE_CONTAINER))

    async def _synchronize(self, payload: bytes) -> bytes:
        """Note what may be ours. It is looked through once the runtime has its answer."""
        part = decode_snapshot(payload)
        self._repairs.add(part)
        self._complete = not part.more
        return encode_snapshot_taken(more=part.more)

    async def _create(self, payload: bytes) -> bytes:
        if not self.handler.may_concern(payload):
            return b""
        decision = await self.handler.create(decode_creation(payload))
        if decision is None:
            return b""
        self.handler.done(decision)
        return encode_adjustment(decision.adjustment)

    async def _update(self, payload: bytes) -> bytes:
        if not self.handler.may_concern(payload):
            return b""
        update = decode_update(payload)
        self._repairs.given(update.container.id, update.asked)
        decision = await self.handler.update(update)
        if decision is None:
            return b""
        self.handler.done(decision)
        cpu_set = decision.adjustment.cpu_set
        self._repairs.given(update.container.id, cpu_set)
        return encode_update(update.container.id, cpu_set) if cpu_set else b""


@contextmanager
def _within(seconds: float, what: str) -> Iterator[None]:
    with trio.move_on_after(seconds) as waiting:
        yield
    if waiting.cancelled_caught:
        raise RuntimeLost(f"the runtime has not {what} within {seconds:g} s")
