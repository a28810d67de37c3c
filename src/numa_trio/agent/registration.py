"""Keeps the resources registered: whatever ends a stream, registration follows."""

import logging
from collections.abc import Callable
from typing import NoReturn

import trio

from numa_trio.agent.advertised import AdvertisedResource, AdvertisedResources, Kubelet
from numa_trio.agent.backoff import Backoff
from numa_trio.agent.counts import Ending, Outcome
from numa_trio.agent.status import ResourceStatus
from numa_trio.kubelet.errors import KubeletUnavailable, RegistrationRefused
from numa_trio.plugin.messages import Registration

log = logging.getLogger(__name__)

# Kubelet opens the stream around its answer to Register; on a busy node it may take its time.
_STREAM_DEADLINE = 10.0

# A stream held for so long shows that the last trouble is over.
_SETTLED = 10.0


async def register_resources(
    resources: AdvertisedResources, kubelet: Kubelet, endpoint_of: Callable[[str], str]
) -> NoReturn:
    """Register each resource, at once and side by side, and keep it registered until cancelled.

    `endpoint_of` gives the file name of the socket of a resource, by its local name.
    """
    async with trio.open_nursery() as nursery:
        async for advertised in resources.arrivals():
            endpoint = endpoint_of(advertised.resource.local_name)
            nursery.start_soon(keep_registered, advertised, kubelet, endpoint)
    raise AssertionError("arrivals() does not end")


async def keep_registered(
    advertised: AdvertisedResource, kubelet: Kubelet, endpoint: str
) -> NoReturn:
    """Register one resource, and again whenever kubelet lets go of it, until cancelled."""
    status = advertised.status
    backoff = Backoff(first=0.01, longest=5.0)
    try:
        while True:
            await status.until(lambda: status.serving)
            # An old stream that ends after the new registration would make kubelet drop that.
            await advertised.server.end_streams()
            registration = Registration(
                resource_name=advertised.resource.name,
                endpoint=endpoint,
                options=advertised.resource.options,
            )
            try:
                with advertised.server.registering():
                    losses = _losses(status)
                    await kubelet.register(registration)
            except RegistrationRefused as refusal:
                obstacle = f"kubelet refused the registration: {refusal}"
                status.registration_failed(Outcome.REFUSED, obstacle)
            except KubeletUnavailable as problem:
                obstacle = f"kubelet cannot be reached: {problem}"
                status.registration_failed(Outcome.UNAVAILABLE, obstacle)
            else:
                status.registration_accepted()
                if await _hold_stream(status, losses):
                    backoff.reset()
            await trio.sleep(backoff.next_delay())
    finally:
        status.registration_abandoned()


def _losses(status: ResourceStatus) -> int:
    """How often something has happened after which kubelet may not listen to us."""
    return status.endings + status.departures


async def _hold_stream(status: ResourceStatus, losses: int) -> bool:
    """Return when kubelet lets go of the resource; whether it had held its stream for long.

    `losses` is how many there were before it was registered. Whichever stream ends since may be
    kubelet's, also one that has come and gone before Register was answered.
    """

    def lost() -> bool:
        return _losses(status) > losses or not status.serving

    with trio.move_on_after(_STREAM_DEADLINE):
        await status.until(lambda: status.streams > 0 or lost())
    began = trio.current_time()
    if status.streams or lost():
        await status.until(lost)
        status.registration_ended(Ending.STREAM_LOST, "kubelet let go of its ListAndWatch stream")
    else:
        obstacle = f"kubelet opened no ListAndWatch stream within {_STREAM_DEADLINE:g} s"
        status.registration_ended(Ending.NO_STREAM, obstacle)
    return trio.current_time() - began >= _SETTLED
