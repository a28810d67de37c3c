"""Pods with the counts that follow from their limits.

They are those that the policy numa-counted-pods of deploy/kustomize/components/counting-policy
gives to pods when they are created.
"""

from collections.abc import Iterator
from fractions import Fraction
from math import ceil

from attrs import evolve

from numa_trio.plugin.counted import Counted
from numa_trio.plugin.counting import counted_name
from numa_trio.simulator.ideal import Offer
from numa_trio.workloads.pod import Container, Pod, QosClass, Resources


def with_counts(pod: Pod, offer: Offer) -> Pod:
    """The pod with the counts of each container that asks for the slots of one node.

    Only Guaranteed pods get them: kubelet gives no others CPUs or memory for themselves.
    """
    if not offer.counted or pod.qos is not QosClass.GUARANTEED or pod.resources:
        return pod
    return evolve(pod, containers=tuple(_counting(each, offer) for each in pod.containers))


def _counting(container: Container, offer: Offer) -> Container:
    counts = dict(_counts(container, offer))
    if not counts:
        return container
    resources = container.resources
    return evolve(
        container,
        resources=Resources({**resources.requests, **counts}, {**resources.limits, **counts}),
    )


def _counts(container: Container, offer: Offer) -> Iterator[tuple[str, Fraction]]:
    limits = container.resources.limits
    asked = [each for each in offer.all_slots if each.name in limits]
    if len(asked) != 1 or len(asked[0].numa_nodes) != 1:
        return
    (slots,) = asked
    for kind in offer.counted:
        name = f"{slots.domain}/{counted_name(slots.local_name, kind)}"
        if kind is Counted.MEMORY:
            yield name, Fraction(ceil(limits["memory"] / offer.memory_unit))
        elif limits["cpu"].denominator == 1:
            yield name, limits["cpu"]
