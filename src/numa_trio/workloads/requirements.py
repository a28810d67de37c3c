"""Requests and limits of containers and pods, as the API server completes and checks them.

Sources: pkg/apis/core/v1/defaults.go and pkg/apis/core/validation of Kubernetes 1.36.
"""

from collections.abc import Sequence
from fractions import Fraction

from numa_trio.workloads.fields import BadFile, Field
from numa_trio.workloads.pod import Container, ContainerKind, Quantities, Resources, peak_requests
from numa_trio.workloads.quantity import decimal, milli, parse_quantity, shown, whole
from numa_trio.workloads.resource_names import (
    HUGE_PAGES,
    is_container_resource,
    is_extended_resource,
    is_huge_pages,
)

_COMPUTE = ("cpu", "memory")


def read_container_resources(field: Field) -> Resources:
    """The `resources` of a container; a request that is missing is the limit. Raises `BadFile`."""
    if field.value is None:
        return Resources()
    limits = _quantities(field.child("limits"), pod_level=False)
    requests = _quantities(field.child("requests"), pod_level=False)
    return _checked(field, _completed(requests, limits), limits)


def read_pod_resources(field: Field, containers: Sequence[Container]) -> Resources | None:
    """The `resources` of a pod with these containers; None if it has none. Raises `BadFile`.

    Where there are limits, a request that is missing is what the containers ask for, or else the
    limit. A limit of huge pages that is missing is the containers'.
    """
    if field.value is None:
        return None
    limits = _quantities(field.child("limits"), pod_level=True)
    requests = _quantities(field.child("requests"), pod_level=True)
    if not limits and not requests:
        return None
    asked = peak_requests([(each.kind, each.resources.requests) for each in containers])
    limited = peak_requests([(each.kind, each.resources.limits) for each in containers])
    huge = {name: amount for name, amount in limited.items() if is_huge_pages(name)}
    limits = _completed(limits, {n: amount for n, amount in huge.items() if n not in requests})
    if limits:
        sums = {name: asked[name] for name in _COMPUTE if name in asked}
        requests = _completed(requests, sums, limits)
    found = _checked(field, requests, limits)
    _check_covers(field, "requests", requests, asked)
    _check_covers(field, "limits", limits, huge)
    for app in (each for each in containers if each.kind is ContainerKind.APP):
        _check_covers(field, "limits", limits, app.resources.limits)
    return found


def _completed(amounts: Quantities, *defaults: Quantities) -> dict[str, Fraction]:
    """The amounts, and what is missing from the first of the defaults that has it."""
    found = dict(amounts)
    for each in defaults:
        for name, amount in each.items():
            found.setdefault(name, amount)
    return found


def _checked(field: Field, requests: Quantities, limits: Quantities) -> Resources:
    for name, amount in limits.items():
        _check_pages(field, "limits", name, amount)
    for name, request in requests.items():
        _check_pages(field, "requests", name, request)
        fixed = is_extended_resource(name) or is_huge_pages(name)
        limit = limits.get(name)
        if limit is None:
            if fixed:
                raise _bad(field, "requests", name, request, "a limit too, equal to the request")
        elif request > limit or (fixed and request < limit):
            written = _written(field, "limits", name, limit)
            expected = f"the limit, {written}" if fixed else f"at most the limit, {written}"
            raise _bad(field, "requests", name, request, expected)
    names = {*requests, *limits}
    if any(map(is_huge_pages, names)) and names.isdisjoint(_COMPUTE):
        raise field.refused("found huge pages only; expected cpu or memory with them")
    return Resources(requests, limits)


def _check_pages(field: Field, kind: str, name: str, amount: Fraction) -> None:
    if not is_huge_pages(name):
        return
    size = name.removeprefix(HUGE_PAGES)
    try:
        page = parse_quantity(size)
    except ValueError:
        page = Fraction()
    if not page or page.denominator != 1:
        raise field.below(kind, name).refused(
            f"the name has no size of a page; expected one such as {HUGE_PAGES}2Mi"
        )
    if whole(amount) % page:
        raise _bad(field, kind, name, amount, f"a multiple of {size}, the size of a page")


def _check_covers(field: Field, kind: str, amounts: Quantities, part: Quantities) -> None:
    """Refuse it if the pod has less than a part of it, of a resource that is named for the pod."""
    for name, needed in part.items():
        amount = amounts.get(name)
        if amount is not None and amount < needed:
            least = f"at least what its containers have, {decimal(needed)}"
            raise _bad(field, kind, name, amount, least)


def _bad(field: Field, kind: str, name: str, amount: Fraction, expected: str) -> BadFile:
    found = _written(field, kind, name, amount)
    return field.below(kind, name).refused(f"found {found}; expected {expected}")


def _written(field: Field, kind: str, name: str, amount: Fraction) -> str:
    """The amount as it stands in the file, or as a number where it follows from others."""
    amounts = field.child(kind).value
    if isinstance(amounts, dict) and name in amounts:
        return str(amounts[name])
    return decimal(amount)


def _quantities(field: Field, *, pod_level: bool) -> dict[str, Fraction]:
    return {name: _quantity(name, value, pod_level) for name, value in field.items()}


def _quantity(name: str, field: Field, pod_level: bool) -> Fraction:
    if pod_level and name not in _COMPUTE and not is_huge_pages(name):
        raise field.refused(
            f"{shown(name)} is not a resource of a whole pod;"
            " expected cpu, memory or hugepages-<size>"
        )
    if not is_container_resource(name):
        raise field.refused(
            f"{shown(name)} is not a resource of a container; expected cpu, memory,"
            " ephemeral-storage, hugepages-<size> or <domain>/<name> such as numa-align/numa-0"
        )
    # Of resource lists the API server keeps thousandths, rounded up.
    quantity = Fraction(milli(field.quantity()), 1000)
    if is_extended_resource(name) and quantity.denominator != 1:
        raise field.bad("a whole number of devices")
    return quantity
