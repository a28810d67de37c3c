"""Which of the available devices a container is to get: they are all alike, so the lowest."""

from collections.abc import Callable

from numa_trio.plugin.messages import InvalidRequest, PreferredAllocationRequest

# Kubelet's own limit for a device's id.
LONGEST_ID = 63


def prefer(
    resource: str, request: PreferredAllocationRequest, ordinal_of: Callable[[str], int]
) -> list[str]:
    """What it must have, then the available devices of lowest number. Raises `InvalidRequest`."""
    available = set(request.available)
    wanted = dict.fromkeys(request.must_include)  # a set that keeps their order
    for device_id in wanted:
        if device_id not in available:
            raise InvalidRequest(
                f"{resource}: {shown(device_id)} must be included, yet is not available"
            )
    by_number = sorted(available, key=ordinal_of)
    if not len(wanted) <= request.size <= len(available):
        raise InvalidRequest(
            f"{resource}: {request.size} devices are wanted, with {len(wanted)} that must be"
            f" included and {len(available)} available"
        )
    rest = [device_id for device_id in by_number if device_id not in wanted]
    return [*wanted, *rest[: request.size - len(wanted)]]


def shown(device_id: str) -> str:
    """The id in quotes, of one that is too long only the beginning."""
    return repr(device_id if len(device_id) <= LONGEST_ID else f"{device_id[:LONGEST_ID]}…")
