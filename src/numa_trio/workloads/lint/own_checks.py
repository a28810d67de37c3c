"""What no admission policy sees: the checks NA101 to NA108.

They look at the fields themselves, so that one odd field hides no other.
"""

import re
from collections.abc import Iterator

from attrs import frozen

from numa_trio.workloads.fields import Field, plain
from numa_trio.workloads.lint.codes import Severity
from numa_trio.workloads.lint.finding import Edit, Remark
from numa_trio.workloads.lint.objects import Template
from numa_trio.workloads.quantity import parse_quantity
from numa_trio.workloads.rules import slots_of

_NUMBERED = re.compile(r"numa-(0|[1-9][0-9]*)")
_NEAR = re.compile(r"near-[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_HIGHEST_NODE = 63  # kubelet aligns to no node above


@frozen
class Asked:
    """A resource of ours in the limits or requests of a container."""

    container: Field
    is_init: bool  # an ordinary one, which ends before the apps start
    kind: str
    name: str
    field: Field

    @property
    def local_name(self) -> str:
        """The name of the slots, without the domain."""
        return slots_of(self.name).partition("/")[2]

    @property
    def is_counted(self) -> bool:
        """Whether it is counted CPUs or memory, rather than slots."""
        return slots_of(self.name) != self.name

    @property
    def amount(self) -> int | None:
        """How many; None where that is no number of devices."""
        try:
            amount = parse_quantity(self.field.value)
        except ValueError:
            return None
        return int(amount) if amount.denominator == 1 else None


def asked_in(template: Template, domain: str) -> list[Asked]:
    """All that a pod asks for by resources of the domain, in the order of the file's lists."""
    return [
        Asked(container, is_init, kind, name, amounts.below(name))
        for container, is_init in containers_in(template)
        for kind in ("limits", "requests")
        for amounts in [container.below("resources", kind)]
        if isinstance(amounts.value, dict)
        for name in amounts.value
        if name.startswith(f"{domain}/")
    ]


def containers_in(template: Template) -> Iterator[tuple[Field, bool]]:
    """The containers, init containers first, and whether each is an ordinary init container."""
    for key in ("initContainers", "containers"):
        containers = template.pod.below("spec", key)
        for number in range(len(containers.value) if isinstance(containers.value, list) else 0):
            each = containers.below(number)
            sidecar = each.below("restartPolicy").value == "Always"
            yield each, key == "initContainers" and not sidecar


def own_remarks(template: Template, domain: str) -> Iterator[Remark]:
    """The findings NA101 to NA108 about a pod or template."""
    asked = asked_in(template, domain)
    limits = [each for each in asked if each.kind == "limits"]
    in_limits = {(each.container.steps, each.name) for each in limits}
    for each in asked:
        if each.kind == "requests" and (each.container.steps, each.name) not in in_limits:
            yield _requests_only(each)
    wanted = [each for each in limits if each.amount]
    slots = [each for each in limits if not each.is_counted]
    yield from (_zero(each, bool(wanted)) for each in slots if each.amount == 0)
    yield from (_several(each) for each in slots if (each.amount or 0) > 1)
    if wanted:
        yield from _anywhere(template, wanted)
        yield from _bare(template, wanted)
        yield from _mixed(wanted)
    yield from map(_nobodys, _first_of_each([each for each in asked if not _is_offered(each)]))


def _requests_only(asked: Asked) -> Remark:
    limit = asked.container.below("resources", "limits", asked.name)
    amount = asked.field.value
    edits = (Edit(limit.steps, amount),) if isinstance(amount, str | int) and asked.amount else ()
    return Remark(
        "NA101",
        f"{asked.name} stands in the requests only. The API server refuses that: write the limit"
        " too; the request may then be left out.",
        (asked.field,),
        edits,
    )


def _zero(asked: Asked, asks_elsewhere: bool) -> Remark:
    what = (
        "it aligns the container to the node, but takes no slot and sets no NUMA_NODE. Write 1"
        " where that was not the intention."
        if asks_elsewhere
        else "the pod asks for no NUMA node, and no policy looks at it. Write 1, or leave it out."
    )
    return Remark(
        "NA102",
        f"zero of {asked.name}: {what}",
        (asked.field,),
        suggestion=(f"{plain(asked.name)}: 1",),
        severity=Severity.NOTE if asks_elsewhere else Severity.WARNING,
    )


def _several(asked: Asked) -> Remark:
    return Remark(
        "NA103",
        f"{asked.amount} slots of {asked.name}: one slot aligns the container as well as many, and"
        " the others are kept from other pods.",
        (asked.field,),
        suggestion=(f"{plain(asked.name)}: 1",),
    )


def _anywhere(template: Template, wanted: list[Asked]) -> Iterator[Remark]:
    """A number means another place on another server, unless the servers are chosen."""
    spec = template.pod.below("spec")
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    chosen = (
        spec.below("nodeName").value
        or spec.below("nodeSelector").value
        or spec.below("affinity", "nodeAffinity", required).value
    )
    numbered = [each for each in wanted if _NUMBERED.fullmatch(each.local_name)]
    if numbered and not chosen:
        yield Remark(
            "NA104",
            f"{slots_of(numbered[0].name)} is asked for on any server. What is beside node"
            f" {numbered[0].local_name.removeprefix('numa-')} differs from server to server: choose"
            " the servers, or name what the pod is to be near.",
            (numbered[0].field,),
            suggestion=(
                "nodeSelector: {example.com/wiring: a}  # a label of yours",
                f"# or {numbered[0].name.partition('/')[0]}/near-<name>: 1, a name of NUMA_NEAR",
            ),
        )


def _bare(template: Template, wanted: list[Asked]) -> Iterator[Remark]:
    if not template.is_bare:
        return
    kind = template.whole.below("kind")
    controllers = ("kind: StatefulSet  # or Deployment, Job: what makes the pod anew",)
    yield Remark(
        "NA105",
        "a pod of its own: after a reboot kubelet refuses it, unless the agent is a service of the"
        " host, and nobody makes it anew. Use a controller.",
        (kind,),
        suggestion=controllers,
    )
    for each in _first_of_each([each for each in wanted if each.is_init], by_container=True):
        name = each.container.below("name").value
        yield Remark(
            "NA106",
            f"init container {plain(str(name))} holds {each.name} in a pod of its own. If kubelet"
            " restarts while the plugin is away, kubelet ends the pod for good. Use a controller.",
            (each.field,),
            suggestion=controllers,
        )


def _mixed(wanted: list[Asked]) -> Iterator[Remark]:
    numbered = [each for each in wanted if _NUMBERED.fullmatch(each.local_name)]
    near = [each for each in wanted if _NEAR.fullmatch(each.local_name)]
    if numbered and near:
        yield Remark(
            "NA107",
            f"{numbered[0].name} and {near[0].name} in one pod: on some servers these are two"
            " nodes, and the scheduler does not see it. Name the one that matters more.",
            tuple(each.field for each in _first_of_each(numbered)),
        )


def _is_offered(asked: Asked) -> bool:
    numbered = _NUMBERED.fullmatch(asked.local_name)
    if numbered:
        return len(numbered[1]) < 3 and int(numbered[1]) <= _HIGHEST_NODE
    return bool(_NEAR.fullmatch(asked.local_name))


def _nobodys(asked: Asked) -> Remark:
    domain = asked.name.partition("/")[0]
    return Remark(
        "NA108",
        f"no agent offers {plain(asked.name)}, and the pod stays Pending. Expected {domain}/numa-0"
        f" to {domain}/numa-{_HIGHEST_NODE}, or {domain}/near-<name>.",
        (asked.field,),
    )


def _first_of_each(asked: list[Asked], by_container: bool = False) -> list[Asked]:
    """The first of each container, or of each resource in a container."""
    first: dict[tuple[object, ...], Asked] = {}
    for each in asked:
        first.setdefault((each.container.steps, "" if by_container else each.name), each)
    return list(first.values())
