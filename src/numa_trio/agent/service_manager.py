"""Tells the service manager how the agent is: the protocol of systemd's sd_notify(3).

Each message is one datagram of lines `KEY=value` to the socket that NOTIFY_SOCKET names. Without
that variable nobody wants to know.
"""

import logging
import os
import socket
from collections.abc import Mapping
from contextlib import suppress
from typing import NoReturn, Self

import trio
from attrs import define, field

from numa_trio.agent.advertised import AdvertisedResource, AdvertisedResources
from numa_trio.agent.status import Phase
from numa_trio.plain_text import quoted

log = logging.getLogger(__name__)

_MICROSECONDS = 1_000_000
_SHORTEST_WATCHDOG = 0.1  # seconds
_READY_AGAIN = 0.1  # seconds; without this message we are ended when our time to start is over


@define(eq=False)
class ServiceManager:
    """Where to tell, and within how many seconds it must hear of us again, or it restarts us.

    `address` is the socket's path, or its abstract name behind a NUL; `watchdog` None: it does not
    wait for anything.
    """

    address: str
    watchdog: float | None = None
    _told: str = field(init=False, default="")
    _trouble: str | None = field(init=False, default=None)

    @classmethod
    def of(cls, variables: Mapping[str, str]) -> Self | None:
        """The one that started this process, by its environment; None if there is none.

        What cannot be used is logged and passed over: to run is more than to tell of it.
        """
        address = variables.get("NOTIFY_SOCKET", "")
        if not address:
            return None
        if address[0] not in "/@":
            log.warning(
                "NOTIFY_SOCKET=%s: expected an absolute path, or @ and an abstract name; nobody is"
                " told that the agent runs",
                quoted(address),
            )
            return None
        if address.startswith("@"):
            address = "\0" + address[1:]
        return cls(address, _watchdog(variables))

    def stopping(self) -> None:
        """The agent was told to stop."""
        self._tell("STOPPING=1")

    async def follow(self, resources: AdvertisedResources) -> NoReturn:
        """The agent watches for kubelet from now on: what needs it there first may start.

        Then tell how many resources kubelet watches, and that the agent lives, until cancelled.
        """
        while not self._tell("READY=1"):  # noqa: ASYNC110  it makes no event when it has room
            await trio.sleep(_READY_AGAIN)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep_alive)
            self._tell_status(resources)
            async for advertised in resources.arrivals():
                nursery.start_soon(self._follow, advertised, resources)
        raise AssertionError("arrivals() does not end")

    async def _keep_alive(self) -> None:
        if self.watchdog is None:
            return
        while True:
            self._tell("WATCHDOG=1")
            await trio.sleep(self.watchdog / 2)

    async def _follow(
        self, advertised: AdvertisedResource, resources: AdvertisedResources
    ) -> NoReturn:
        status = advertised.status
        while True:
            self._tell_status(resources)
            await status.until(lambda: status.phase is Phase.STREAMING)
            self._tell_status(resources)
            await status.until(lambda: status.phase is not Phase.STREAMING)

    def _tell_status(self, resources: AdvertisedResources) -> None:
        streaming = sum(each.status.phase is Phase.STREAMING for each in resources)
        text = f"kubelet holds the stream of {streaming} of {len(resources)} resources"
        if text != self._told and self._tell(f"STATUS={text}"):
            self._told = text

    def _tell(self, line: str) -> bool:
        """Whether it was sent; a socket that is full or gone is logged once and not waited for."""
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                sender.setblocking(False)
                sender.sendto(line.encode(), self.address)
        except OSError as problem:
            if str(problem) != self._trouble:
                self._trouble = str(problem)
                log.warning("Cannot tell the service manager: %s", problem)
            return False
        self._trouble = None
        return True


def _watchdog(variables: Mapping[str, str]) -> float | None:
    """The seconds of WATCHDOG_USEC, if they are meant for this process."""
    text = variables.get("WATCHDOG_USEC", "")
    if not text or variables.get("WATCHDOG_PID", str(os.getpid())) != str(os.getpid()):
        return None
    with suppress(ValueError):
        seconds = int(text) / _MICROSECONDS
        if seconds >= _SHORTEST_WATCHDOG:
            return seconds
    log.warning(
        "WATCHDOG_USEC=%s: expected a number of microseconds, %d or more; the watchdog is not fed",
        quoted(text),
        _SHORTEST_WATCHDOG * _MICROSECONDS,
    )
    return None
