"""The rules that `simulate` goes by are those of the admission policy, word for word."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.admission import ValidatingPolicy, as_admitted
from deploy.kubelet_pods import pod_of
from deploy.manifests import PARAMETERS
from deploy.near_pods import NEAR_LET_IN, NEAR_REFUSED
from deploy.pods import LET_IN, NOT_OURS, REFUSED, Case, Object, pod
from deploy.test_policies_and_kubelet import any_pod
from numa_trio.workloads.quantity import parse_quantity
from numa_trio.workloads.rules import broken_rules

# `simulate` has neither of these parameters' switches: one node for each pod, and a real unit.
CASES = [
    case
    for case in LET_IN + NEAR_LET_IN + REFUSED + NEAR_REFUSED + NOT_OURS
    if case.one_node_per_pod == "true" and re.fullmatch("[0-9]+[GM]i", case.memory_unit)
]


def in_order(messages: list[str]) -> list[str]:
    """With the names of resources sorted: a map of CEL has no order."""

    def sort(names: re.Match[str]) -> str:
        return f"({', '.join(sorted(names[1].split(', ')))})"

    def sort_choice(names: re.Match[str]) -> str:
        return " or ".join(sorted(names[0].split(" or ")))

    listed = (re.sub(r"\(([^)]*)\)", sort, each) for each in messages)
    return [re.sub(r"\S+/[^\s.]+( or \S+/[^\s.]+)+", sort_choice, each) for each in listed]


def said_of(manifest: Object, memory_unit: str = "1Gi") -> list[str]:
    found = broken_rules(pod_of(manifest), memory_unit=int(parse_quantity(memory_unit)))
    return in_order([str(each) for each in found])


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_same_findings(policy: ValidatingPolicy, case: Case) -> None:
    """Each pod of the tables gets the messages of the policy, in its order."""
    parameters = {"data": {"one-node-per-pod": "true", "memory-unit": case.memory_unit}}
    expected = policy.refusals(as_admitted(case.pod), parameters)

    assert said_of(case.pod, case.memory_unit) == in_order(expected)


@given(containers_and_init=st.integers(0, 1).flatmap(any_pod))
def test_same_findings_of_any_pod(
    policy: ValidatingPolicy, containers_and_init: tuple[list[Object], list[Object]]
) -> None:
    """So does any other, whatever its containers ask for."""
    containers, init = containers_and_init
    named = [{**c, "name": f"c{i}"} for i, c in enumerate(containers + init)]
    manifest = pod(*named[: len(containers)], init=named[len(containers) :])

    assert said_of(manifest) == in_order(policy.refusals(as_admitted(manifest), PARAMETERS))


def test_another_domain() -> None:
    """With NUMA_RESOURCE_DOMAIN, the resources of that name a node, and those of no other."""
    limits = {"cpu": "500m", "memory": "1Gi", "example.com/numa-0": 1}
    theirs = pod({"name": "app", "resources": {"limits": limits}})

    assert [each.code for each in broken_rules(pod_of(theirs), "example.com")] == ["NA002"]
    assert said_of(theirs) == []
