"""The policies against the kubelet stand-in: what they let in is pinned, what not is not."""

from collections.abc import Callable

import pytest
import trio
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from deploy.admission import ValidatingPolicy
from deploy.kubelet_pods import pod_of
from deploy.manifests import PARAMETERS
from deploy.near_pods import NEAR_LET_IN, NEAR_NODES, NEAR_REFUSED
from deploy.pods import LET_IN, REFUSED, Case, Object, container, pod, sidecar
from numa_trio.plugin.resource import NumaResource
from numa_trio.simulator.admission import Verdict, admit
from simulated import Cluster, cluster, machine

# Nodes 0 and 1, then 2 and 3: room for every pod here, one at a time.
CPUS_PER_NODE = 24


def roomy() -> Cluster:
    """With slots, and what is counted of the first two nodes: CPUs, and some GiB of memory.

    The same by the names of what is near them.
    """
    first_cpus = range(0, 4 * CPUS_PER_NODE, CPUS_PER_NODE)
    nodes = [range(first, first + CPUS_PER_NODE) for first in first_cpus]
    on = cluster(machine(*nodes, memory=64 << 30))
    for name, node in {"numa-0": 0, "numa-1": 1, **NEAR_NODES}.items():
        add(on, name, node, 100)
        add(on, f"{name}-cpu", node, CPUS_PER_NODE)
        add(on, f"{name}-memory", node, 16)
    return on


def add(on: Cluster, name: str, node: int, count: int) -> None:
    resource = NumaResource(name, (node,), count)
    on.plugins.resources[resource.name] = resource
    on.node.devices.update(resource.name, resource.devices())


def verdict_on(manifest: Object) -> Verdict:
    """What kubelet says, with static managers and the policy single-numa-node."""
    on = roomy()
    return trio.run(lambda: admit(on.node, pod_of(manifest), on.plugins))


def is_pinned(verdict: Verdict) -> bool:
    """Whether each container that asked for a node runs on CPUs of its own there and only there."""
    asked = [placement for placement in verdict.placements if placement.environment]
    return verdict.admitted and all(
        placement.exclusive
        and {str(cpu // CPUS_PER_NODE) for cpu in placement.cpus}
        == {str(node) for node in placement.memory_nodes}
        == {placement.environment["NUMA_NODE"]}
        for placement in asked
    )


# More CPUs than the machine has.
FITTING = [case for case in LET_IN + NEAR_LET_IN if "1k" not in case.name]


@pytest.mark.parametrize("case", FITTING, ids=lambda case: case.name)
def test_kubelet_pins_what_is_let_in(case: Case) -> None:
    """Every good pod of the table runs with its CPUs and memory on the node it names."""
    assert is_pinned(verdict_on(case.pod))


@pytest.mark.parametrize("case", REFUSED + NEAR_REFUSED, ids=lambda case: case.name)
def test_kubelet_would_not_pin_what_is_refused(case: Case) -> None:
    """A bad pod is refused by kubelet too or runs unpinned; the table says where not."""
    assert is_pinned(verdict_on(case.pod)) == case.stricter


def any_container(make: Callable[..., Object], home: int) -> st.SearchStrategy[Object]:
    """A container that names the node `home`, or none, and now and then another."""
    return st.builds(
        lambda nodes, none_of, counted, cpu, memory: make(
            "any",
            *nodes,
            none_of=none_of,
            counted={kind: cpu + count for kind, count in counted.items()},
            cpu=cpu,
            memory=memory,
        ),
        st.sampled_from([()] + [(home,)] * 10 + [(1 - home,)]),
        st.sampled_from([()] * 10 + [(home,)] + [(1 - home,)]),
        st.dictionaries(
            st.sampled_from([f"{home}-cpu", f"{home}-memory"] * 9 + [f"{1 - home}-cpu"]),
            st.sampled_from([0] * 9 + [1]),
        ),
        st.integers(1, 3),
        st.sampled_from(["1Gi"] * 19 + ["0"]),
    )


def any_pod(home: int) -> st.SearchStrategy[tuple[list[Object], list[Object]]]:
    """Containers, and init containers of both kinds."""
    plain, kept = any_container(container, home), any_container(sidecar, home)
    return st.tuples(st.lists(plain, min_size=1, max_size=3), st.lists(plain | kept, max_size=3))


@settings(max_examples=50)
@given(containers_and_init=st.integers(0, 1).flatmap(any_pod))
def test_the_rules_are_enough(
    policy: ValidatingPolicy, containers_and_init: tuple[list[Object], list[Object]]
) -> None:
    """On a machine with room, no pod that the policy lets in is refused or left unpinned."""
    containers, init = containers_and_init
    named = [{**c, "name": f"c{i}"} for i, c in enumerate(containers + init)]
    manifest = pod(*named[: len(containers)], init=named[len(containers) :])
    assume(policy.matching.matches(manifest))
    assume(not policy.refusals(manifest, PARAMETERS))
    assert is_pinned(verdict_on(manifest))
