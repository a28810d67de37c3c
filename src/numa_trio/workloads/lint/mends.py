"""What to write instead, rule by rule: edits where they follow from the pod, else a suggestion.

An edit does what the text of the rule says and nothing else. Numbers that are the author's to
choose are only suggested.
"""

import math
import re
from collections.abc import Callable, Mapping
from fractions import Fraction

from attrs import frozen

from numa_trio.workloads.fields import Field
from numa_trio.workloads.lint.finding import Edit, Scalar
from numa_trio.workloads.pod import Container, Pod
from numa_trio.workloads.quantity import parse_quantity
from numa_trio.workloads.resource_names import is_huge_pages
from numa_trio.workloads.rules import BrokenRule, Spot, slots_of

_COMPUTE = ("cpu", "memory")
_USUAL = {"cpu": "1", "memory": "256Mi"}  # in suggestions, where the pod has no number
_KI, _MI = 1 << 10, 1 << 20
_FINE = 64  # this many of a unit, and rounding up to the next costs little


@frozen
class Broken:
    """A broken rule, the pod as it was read, and the fields of its containers by name."""

    rule: BrokenRule
    pod: Pod
    whole: Field
    containers: Mapping[str, Field]
    domain: str
    memory_unit: int

    def field(self, spot: Spot) -> Field:
        """Where a spot is in the document."""
        if spot.container is None:
            return self.whole.below("spec", "resources")
        resources = self.containers[spot.container].below("resources")
        steps = [step for step in (spot.kind, spot.resource) if step]
        return resources.below(*steps)

    def container(self, spot: Spot) -> Container:
        """The container of a spot."""
        return next(each for each in self.pod.containers if each.name == spot.container)

    def write(self, spot: Spot, amount: Scalar, resource: str = "") -> list[Edit]:
        """The amount as limit, and as request too where there is one."""
        limits = self.containers[spot.container or ""].below("resources", "limits")
        requests = self.containers[spot.container or ""].below("resources", "requests")
        name = resource or spot.resource
        edits = [Edit(limits.below(name).steps, amount)]
        if requests.below(name).value is not None:
            edits.append(Edit(requests.below(name).steps, amount))
        return edits


def edits_for(broken: Broken) -> tuple[Edit, ...]:
    """The edits that mend it; none where there is a choice."""
    mend = MENDS.get(broken.rule.code)
    if mend is None:
        return ()
    found = [mend(broken, spot) for spot in broken.rule.spots]
    return tuple(edit for edits in found for edit in edits) if all(found) else ()


def suggested_edits(broken: Broken) -> tuple[Edit, ...]:
    """What could be written, for the author to look at, where `edits_for` has nothing."""
    if broken.rule.code == "NA001":
        return tuple(edit for spot in broken.rule.spots for edit in _some_limit(broken, spot))
    if broken.rule.code == "NA008":
        return tuple(edit for spot in broken.rule.spots for edit in _likely_bytes(broken, spot))
    if broken.rule.code == "NA005":
        return tuple(Edit(broken.field(spot).steps, None) for spot in broken.rule.spots)
    return ()


def _equal_request(broken: Broken, spot: Spot) -> list[Edit]:
    limit = broken.field(Spot(spot.container, "limits", spot.resource)).value
    if not isinstance(limit, str | int | float):
        return []
    return [Edit(broken.field(spot).steps, _as_written(limit))]


def _whole_cpus(broken: Broken, spot: Spot) -> list[Edit]:
    return broken.write(spot, math.ceil(broken.container(spot).resources.limits["cpu"]))


def _whole_bytes(broken: Broken, spot: Spot) -> list[Edit]:
    exact = broken.container(spot).resources.limits[spot.resource]
    if exact < _KI:
        return []  # 512m is half a byte; meant was something else
    if is_huge_pages(spot.resource):
        page = parse_quantity(spot.resource.rpartition("-")[2])
        return broken.write(spot, math.ceil(exact / page) * int(page))
    return broken.write(spot, _rounded_up(exact))


def _rounded_up(exact: Fraction) -> Scalar:
    """The next amount in a unit that it has many of."""
    for unit, suffix in ((_MI, "Mi"), (_KI, "Ki")):
        if exact >= _FINE * unit:
            return f"{math.ceil(exact / unit)}{suffix}"
    return math.ceil(exact)


def _likely_bytes(broken: Broken, spot: Spot) -> list[Edit]:
    """Thousandths of a byte are usually meant as MiB."""
    number = re.fullmatch(r"([0-9.]+)m", str(broken.field(spot).value))
    return broken.write(spot, f"{number[1]}Mi") if number else []


def _as_the_app(broken: Broken, spot: Spot) -> list[Edit]:
    """One slot of the node that the pod names, if it names but one, and the container none."""
    init = broken.container(spot)
    named = {
        slots_of(name)
        for each in broken.pod.containers
        for name in each.resources.limits
        if name.startswith(f"{broken.domain}/")
    }
    if len(named) != 1 or any(
        name.startswith(f"{broken.domain}/") for name in init.resources.limits
    ):
        return []
    limits = broken.field(spot)
    return [Edit(limits.below(named.pop()).steps, 1)]


def _without_pod_level(broken: Broken, spot: Spot) -> list[Edit]:
    """Only where the containers have all limits; else the pod would be of another class."""
    complete = all(
        each.resources.limits.get(name) for each in broken.pod.containers for name in _COMPUTE
    )
    return [Edit(broken.field(spot).steps, None)] if complete else []


def _right_count(broken: Broken, spot: Spot) -> list[Edit]:
    limits = broken.container(spot).resources.limits
    if spot.resource.endswith("-memory"):
        return broken.write(spot, math.ceil(limits["memory"] / broken.memory_unit))
    cpus = limits["cpu"]
    return broken.write(spot, int(cpus)) if cpus.denominator == 1 and cpus else []


def _some_limit(broken: Broken, spot: Spot) -> list[Edit]:
    request = broken.field(Spot(spot.container, "requests", spot.resource)).value
    asked = broken.container(spot).resources.requests.get(spot.resource)
    if isinstance(request, str | int | float) and asked:
        amount = _as_written(request)
        if spot.resource == "cpu":
            amount = math.ceil(asked)
        return broken.write(spot, amount)
    return broken.write(spot, _USUAL[spot.resource])


def _as_written(amount: str | float) -> Scalar:
    return amount if isinstance(amount, str | int) else str(amount)


MENDS: Mapping[str, Callable[[Broken, Spot], list[Edit]]] = {
    "NA002": _whole_cpus,
    "NA003": _equal_request,
    "NA004": _as_the_app,
    "NA006": _without_pod_level,
    "NA007": _right_count,
    "NA008": _whole_bytes,
}
