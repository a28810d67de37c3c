"""Warns of a resource that is not offered for longer than a restart of kubelet takes.

What happens while kubelet restarts is no trouble, and is logged as information.
"""

import logging
from typing import NoReturn

import trio

from numa_trio.agent.advertised import AdvertisedResource, AdvertisedResources
from numa_trio.agent.status import Phase

log = logging.getLogger(__name__)

# Seconds. Kubelet that starts makes its socket within some ten of them.
_LONG = 30.0


async def warn_of_outages(resources: AdvertisedResources) -> NoReturn:
    """Warn of each outage of each resource once, for ever."""
    async with trio.open_nursery() as nursery:
        async for advertised in resources.arrivals():
            nursery.start_soon(_warn_of_outages_of, advertised)
    raise AssertionError("arrivals() does not end")


async def _warn_of_outages_of(advertised: AdvertisedResource) -> NoReturn:
    status = advertised.status
    while True:
        await status.until(lambda: status.phase is not Phase.STREAMING)
        with trio.move_on_after(_LONG) as waiting:
            await status.until(lambda: status.phase is Phase.STREAMING)
        if waiting.cancelled_caught:
            log.warning(
                "%s has not been offered for %g s: %s",
                status.name,
                _LONG,
                status.obstacle or "kubelet does not hold its stream",
                extra={"phase": status.phase},
            )
            await status.until(lambda: status.phase is Phase.STREAMING)
