"""The policy that writes what is counted into pods: what it adds, and what it leaves alone."""

import re
from typing import Any

import pytest
import trio
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.admission import MutatingPolicy, ValidatingPolicy, as_admitted
from deploy.manifests import (
    COUNTING_BINDING,
    COUNTING_PARAMETERS,
    COUNTING_POLICY,
    KUSTOMIZE,
    PARAMETERS,
)
from deploy.pods import Object, container, pod, sidecar, with_limits, without_requests
from deploy.test_policies_and_kubelet import pod_of, roomy
from numa_trio.settings import Settings, load_settings
from numa_trio.simulator.admission import admit

OPT_IN = {"numa-align/copy-to-init-containers": "true"}


def parameters(counted: str = "cpu,memory", unit: str = "1Gi") -> Object:
    return {"data": {"counted": counted, "memory-unit": unit}}


def counts(item: Object) -> Object:
    """What is counted in the container, by the end of its name; requests equal limits."""
    limits, requests = (
        {
            name.removeprefix("numa-align/"): amount
            for name, amount in item["resources"][kind].items()
            if name.startswith("numa-align/") and name.endswith(("-cpu", "-memory"))
        }
        for kind in ("limits", "requests")
    )
    assert limits == requests
    return limits


def every_container(pod: Object) -> list[Object]:
    return [*pod["spec"]["containers"], *pod["spec"].get("initContainers", [])]


def annotated(pod: Object, annotations: Object) -> Object:
    return {**pod, "metadata": {**pod["metadata"], "annotations": annotations}}


@pytest.mark.parametrize(
    ("cpu", "memory", "unit", "expected"),
    [
        (4, "8Gi", "1Gi", {"numa-1-cpu": "4", "numa-1-memory": "8"}),
        ("2000m", "1Gi", "1Gi", {"numa-1-cpu": "2", "numa-1-memory": "1"}),
        ("1k", 1, "1Gi", {"numa-1-cpu": "1000", "numa-1-memory": "1"}),
        (1, 2**31 - 1, "1Gi", {"numa-1-cpu": "1", "numa-1-memory": "2"}),
        (1, 2**31, "1Gi", {"numa-1-cpu": "1", "numa-1-memory": "2"}),
        (1, 2**31 + 1, "1Gi", {"numa-1-cpu": "1", "numa-1-memory": "3"}),
        (1, "8G", "1Gi", {"numa-1-cpu": "1", "numa-1-memory": "8"}),
        (1, "1.5Ti", "512Mi", {"numa-1-cpu": "1", "numa-1-memory": "3072"}),
        (1, "1Gi", "100M", {"numa-1-cpu": "1", "numa-1-memory": "11"}),
        (1, "2Gi", "1Ki", {"numa-1-cpu": "1", "numa-1-memory": "2"}),  # the agent refuses it
        (1, "2Gi", "lots", {"numa-1-cpu": "1", "numa-1-memory": "2"}),
        ("1500m", "2Gi", "1Gi", {"numa-1-memory": "2"}),
        ("999m", "2Gi", "1Gi", {"numa-1-memory": "2"}),
    ],
)
@pytest.mark.parametrize("defaults", [as_admitted, lambda pod: pod], ids=["admitted", "as written"])
def test_counts_follow_from_limits(
    counting_policy: MutatingPolicy,
    cpu: object,
    memory: object,
    unit: str,
    expected: Object,
    defaults: Any,
) -> None:
    """Whole CPUs as they are, memory in units rounded up; nothing for a fraction of a CPU."""
    before = defaults(pod(container("app", 1, cpu=cpu, memory=memory)))
    (app,) = every_container(counting_policy.mutated(before, parameters(unit=unit)))
    assert counts(app) == expected
    own = before["spec"]["containers"][0]["resources"]["limits"]
    assert app["resources"]["limits"].keys() - {f"numa-align/{name}" for name in expected} == (
        own.keys()
    )


def test_only_cpus_are_counted_as_shipped(counting_policy: MutatingPolicy) -> None:
    """The shipped parameters say the same as the component `counting` says to the agent."""
    (app,) = every_container(counting_policy.mutated(pod(container("app", 1)), COUNTING_PARAMETERS))
    assert counts(app) == {"numa-1-cpu": "1"}
    component = yaml.safe_load((KUSTOMIZE / "components/counting/kustomization.yaml").read_text())
    (generator,) = component["configMapGenerator"]
    (literal,) = generator["literals"]
    assert literal == f"NUMA_COUNTED={COUNTING_PARAMETERS['data']['counted']}"


def test_units_are_the_agents(policy: ValidatingPolicy) -> None:
    """Both policies ship with the unit that the agent has when nothing is set."""
    default: Settings = load_settings({})
    for shipped in (PARAMETERS, COUNTING_PARAMETERS):
        unit = shipped["data"]["memory-unit"]
        assert load_settings({"NUMA_MEMORY_UNIT": unit}).memory_unit == default.memory_unit
    assert policy.matching.values(pod(container("app", 0)), {"data": {}})["unit"] == "1Gi"


@pytest.mark.parametrize("kinds", ["", "memory", "cpu, memory", "CPU", "yes"])
def test_other_kinds_change_nothing(counting_policy: MutatingPolicy, kinds: str) -> None:
    """What the parameters say is counted is one of the two values, or no pod is changed."""
    before = as_admitted(pod(container("app", 1)))
    assert counting_policy.mutated(before, parameters(kinds)) == before
    assert counting_policy.mutated(before, {"metadata": {"name": "empty"}}) == before


def test_every_kind_of_container_is_counted(counting_policy: MutatingPolicy) -> None:
    """Init containers, sidecars and apps that name a node; the others stay as they are."""
    init = [container("init", 1), sidecar("mesh", 1, cpu=2), container("second")]
    before = pod(container("metrics"), container("app", 1, cpu=4), init=init)
    metrics, app, *init = every_container(
        counting_policy.mutated(as_admitted(before), parameters("cpu"))
    )
    assert counts(app) == {"numa-1-cpu": "4"}
    assert [counts(each) for each in init] == [{"numa-1-cpu": "1"}, {"numa-1-cpu": "2"}, {}]
    assert counts(metrics) == {}


@pytest.mark.parametrize("name", ["near-data", "near-data-1"])
def test_near_names_are_counted(counting_policy: MutatingPolicy, name: str) -> None:
    """What is near a disk has counts of its own, by the same endings."""
    near = with_limits(container("app", cpu=2), {f"numa-align/{name}": 1})
    (app,) = every_container(counting_policy.mutated(pod(near), parameters()))
    assert counts(app) == {f"{name}-cpu": "2", f"{name}-memory": "1"}


def test_zero_slots_name_a_node(counting_policy: MutatingPolicy) -> None:
    """Kubelet aligns such a container too, and gives it CPUs there."""
    before = pod(container("app", 1), container("other", none_of=(1,)))
    assert [
        counts(each) for each in every_container(counting_policy.mutated(before, parameters("cpu")))
    ] == [{"numa-1-cpu": "1"}, {"numa-1-cpu": "1"}]


APP = container("app", 0)


@pytest.mark.parametrize(
    "untouched",
    [
        pod(container("app")),
        pod(container("app", none_of=(0,))),
        pod(container("app", 0, 1)),
        pod(container("app", 0, none_of=(1,))),
        pod(with_limits(container("app"), {"numa-align/other": 1})),
        pod(with_limits(container("app"), {"numa-aligned/numa-0": 1})),
        pod(container("app", 0, counted={"0-cpu": 7})),
        pod(container("app", 0, counted={"0-memory": 1})),
        pod(container("app", counted={"0-cpu": 1})),
        pod(with_limits(container("app"), {"numa-align/near-data-cpu": 1})),
        pod(with_limits(APP, {"numa-align/near-data": 1})),
        pod(APP, {"name": "bare"}),
        pod(APP, init=[{"name": "bare"}]),
        pod(container("app", 0, memory="0")),
        pod(container("app", 0, cpu=2, requests={"cpu": 1})),
        pod(APP, container("other", requests={"memory": "1Mi"})),
        pod(APP, resources={"limits": {"cpu": 2}}),
        pod(APP, resources={"requests": {"cpu": 2}}),
        annotated(pod(APP), {"numa-align/count": "false"}),
    ],
    ids=[
        "no node",
        "zero of a node in the whole pod",
        "two nodes",
        "zero of a second node",
        "a name of ours that is no node",
        "another domain",
        "CPUs counted already",
        "memory counted already",
        "counted without a slot",
        "counted near a disk without a slot",
        "a number and a disk",
        "not Guaranteed: no limits",
        "not Guaranteed: an init container",
        "not Guaranteed: zero memory",
        "not Guaranteed: fewer CPUs requested",
        "not Guaranteed: less memory requested beside it",
        "pod-level limits",
        "pod-level requests",
        "opted out",
    ],
)
def test_other_pods_are_left_alone(counting_policy: MutatingPolicy, untouched: Object) -> None:
    """Where kubelet gives nothing exclusively, or the author has chosen, the pod stays as it is."""
    admitted = as_admitted(untouched)
    assert counting_policy.mutated(admitted, parameters()) == admitted


def test_requests_may_be_left_out(counting_policy: MutatingPolicy) -> None:
    """A pod without requests is Guaranteed, as the API server will make it."""
    (app,) = every_container(counting_policy.mutated(pod(without_requests(APP)), parameters("cpu")))
    assert counts(app) == {"numa-0-cpu": "1"}


@pytest.mark.parametrize("counting_first", [True, False])
def test_works_with_the_policy_for_init_containers(
    counting_policy: MutatingPolicy,
    init_policy: MutatingPolicy,
    policy: ValidatingPolicy,
    counting_first: bool,
) -> None:
    """Called in either order, and again after the other, both do their work; then rest."""

    def count(pod: Object) -> Object:
        return counting_policy.mutated(pod, parameters())

    steps = [count, init_policy.mutated] if counting_first else [init_policy.mutated, count]
    before = annotated(pod(container("app", 1, cpu=4), init=[container("init")]), OPT_IN)
    after = as_admitted(before)
    for step in steps * 2:
        after = step(after)
    app, init = every_container(after)
    assert counts(app) == {"numa-1-cpu": "4", "numa-1-memory": "1"}
    assert counts(init) == {"numa-1-cpu": "1", "numa-1-memory": "1"}
    assert init["resources"]["limits"]["numa-align/numa-1"] == "1"
    assert policy.refusals(after, PARAMETERS) == []
    for step in steps:
        assert step(after) == after


def test_init_containers_get_the_node_of_an_app_that_only_counts(
    init_policy: MutatingPolicy,
) -> None:
    """The slot of the node whose CPUs the app names."""
    before = annotated(
        pod(container("app", counted={"1-cpu": 1, "1-memory": 1}), init=[container("init")]),
        OPT_IN,
    )
    _, init = every_container(init_policy.mutated(as_admitted(before)))
    assert init["resources"]["limits"]["numa-align/numa-1"] == "1"


@pytest.mark.parametrize("other", [{"0-cpu": 1}, {"0-memory": 1}])
def test_init_containers_get_nothing_where_apps_count_two_nodes(
    init_policy: MutatingPolicy, other: Object
) -> None:
    """With two nodes to choose from, the choice is the author's."""
    apps = [container("app", counted={"1-cpu": 1}), container("other", counted=other)]
    before = as_admitted(annotated(pod(*apps, init=[container("init")]), OPT_IN))
    assert init_policy.mutated(before) == before


CONTAINERS: Any = st.builds(
    lambda make, nodes, cpu, memory: make("any", *nodes, cpu=cpu, memory=memory),
    st.sampled_from([container, container, sidecar]),
    st.sampled_from([(), (1,), (1,), (1,)]),
    st.sampled_from([1, 2, 3, "2000m"]),
    st.integers(1, 4 << 30) | st.sampled_from(["1Gi", "0.5Gi", "1G"]),
)


@settings(max_examples=40)
@given(
    containers=st.lists(CONTAINERS, min_size=1, max_size=3),
    init=st.lists(CONTAINERS, max_size=3),
)
def test_counts_are_what_kubelet_gives(
    counting_policy: MutatingPolicy,
    policy: ValidatingPolicy,
    containers: list[Object],
    init: list[Object],
) -> None:
    """Each container that names a node counts as many CPUs as the stand-in gives it for itself."""
    named = [{**each, "name": f"c{i}"} for i, each in enumerate(containers + init)]
    apps = [{k: v for k, v in c.items() if k != "restartPolicy"} for c in named[: len(containers)]]
    before = as_admitted(pod(*apps, init=named[len(containers) :]))
    after = counting_policy.mutated(before, parameters(unit="1Gi"))
    assert counting_policy.mutated(after, parameters()) == after
    refusals = policy.refusals(after, PARAMETERS)
    assert refusals == policy.refusals(before, PARAMETERS), "the counts break no rule"
    if refusals or not policy.matching.matches(before):
        return
    on = roomy()
    verdict = trio.run(lambda: admit(on.node, pod_of(after), on.plugins))
    assert verdict.admitted
    given = {placement.container.name: placement for placement in verdict.placements}
    for each in every_container(after):
        limits = each["resources"]["limits"]
        if "numa-align/numa-1" in limits:
            counted = counts(each)
            assert int(counted["numa-1-cpu"]) == len(given[each["name"]].cpus)
            assert given[each["name"]].exclusive
        else:
            assert counts(each) == {}


def test_binding_opts_in_by_namespace() -> None:
    """Only pods of labelled namespaces, and nobody is refused where parameters are missing."""
    spec = COUNTING_BINDING["spec"]
    assert spec["policyName"] == COUNTING_POLICY["metadata"]["name"]
    assert spec["matchResources"] == {
        "namespaceSelector": {"matchLabels": {"numa-align/count": "true"}}
    }
    assert spec["paramRef"] == {
        "name": COUNTING_PARAMETERS["metadata"]["name"],
        "namespace": COUNTING_PARAMETERS["metadata"]["namespace"],
        "parameterNotFoundAction": "Allow",
    }


def test_only_new_pods_are_changed() -> None:
    """Resources of a running pod cannot gain a name; an error changes nothing."""
    spec = COUNTING_POLICY["spec"]
    (rule,) = spec["matchConstraints"]["resourceRules"]
    assert rule["operations"] == ["CREATE"]
    assert rule["resources"] == ["pods"]
    assert spec["failurePolicy"] == "Ignore"
    assert spec["reinvocationPolicy"] == "IfNeeded"


def test_type_checker_has_nothing_to_warn_about() -> None:
    """As in the other policies, the pod is always behind `dyn`."""
    spec = COUNTING_POLICY["spec"]
    expressions = [variable["expression"] for variable in spec["variables"]]
    expressions += [mutation["jsonPatch"]["expression"] for mutation in spec["mutations"]]
    for expression in expressions:
        assert not re.search(r"\bobject\b", expression.replace("dyn(object)", ""))
