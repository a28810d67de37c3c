"""The rules of the admission policies, over a table of good and bad pods."""

import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from deploy.admission import MutatingPolicy, ValidatingPolicy, as_admitted
from deploy.manifests import BINDINGS, INIT_BINDING, INIT_POLICY, PARAMETERS, POLICY
from deploy.near_pods import NEAR_LET_IN, NEAR_REFUSED, near
from deploy.pods import (
    LET_IN,
    NOT_OURS,
    REFUSED,
    Case,
    Object,
    container,
    pod,
    sidecar,
    with_limits,
)

OPT_IN = {"numa-align/copy-to-init-containers": "true"}


def refusals(policy: ValidatingPolicy, case: Case, pod: Object) -> list[str]:
    data = {"one-node-per-pod": case.one_node_per_pod, "memory-unit": case.memory_unit}
    return policy.refusals(pod, {"data": data})


def codes(messages: list[str]) -> list[str]:
    return [message.split(":")[0] for message in messages]


CASES = LET_IN + NEAR_LET_IN + REFUSED + NEAR_REFUSED + NOT_OURS
by_name = pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)


@by_name
def test_pods_are_judged(policy: ValidatingPolicy, case: Case) -> None:
    """A pod as the API server shows it to the policy breaks just the rules of the table."""
    assert codes(refusals(policy, case, as_admitted(case.pod))) == case.broken


@by_name
def test_manifests_are_judged_alike(policy: ValidatingPolicy, case: Case) -> None:
    """A manifest as written, with numbers and without defaults, gets the same verdict."""
    assert codes(refusals(policy, case, case.pod)) == case.broken


@pytest.mark.parametrize(
    ("cpu", "admitted"),
    [("1.9999", "2"), ("1.9991", "2"), ("1.9989", "1999m"), ("0.1m", "1m"), ("2", "2")],
)
def test_quantities_are_rounded_up_before(cpu: str, admitted: str) -> None:
    """The model of the API server rounds up to thousandths, as the policies' pods have been."""
    (seen,) = as_admitted(pod(container("app", 0, cpu=cpu)))["spec"]["containers"]
    assert seen["resources"]["limits"]["cpu"] == seen["resources"]["requests"]["cpu"] == admitted


@pytest.mark.parametrize("case", NOT_OURS, ids=lambda case: case.name)
def test_other_pods_do_not_match(policy: ValidatingPolicy, case: Case) -> None:
    """A pod that asks for no NUMA node is left alone before any rule is looked at."""
    assert not policy.matching.matches(case.pod)


def test_every_code_is_refused_somewhere() -> None:
    """The table has a pod for each of the eight codes."""
    assert {code for case in REFUSED for code in case.broken} == {
        f"NA00{number}" for number in range(1, 9)
    }


@pytest.mark.parametrize("case", REFUSED + NEAR_REFUSED, ids=lambda case: case.name)
def test_messages_can_be_shown(policy: ValidatingPolicy, case: Case) -> None:
    """A message is one line of plain text: the API server drops longer ones and line breaks."""
    for message in refusals(policy, case, case.pod):
        assert re.fullmatch(r"NA00[1-8]: [ -~]{40,400}\.", message)


@pytest.mark.parametrize(
    ("broken", "named"),
    [
        (pod(container("one", 0), {"name": "two"}, {"name": "three"}), "two, three"),
        (pod(container("one", 0, cpu="500m")), "one"),
        (pod(container("one", 0, requests={"memory": "1M"})), "one"),
        (
            pod(container("one", 0), init=[container("two")]),
            "two does not ask for numa-align/numa-0",
        ),
        (pod(container("one", 0), container("two", 7)), "numa-align/numa-0, numa-align/numa-7"),
        (pod(container("one", 0), container("two", memory="1.5")), "bytes in two. Kubelet"),
        (
            pod(container("one", counted={"0-cpu": 1}), container("two", counted={"0-cpu": 2})),
            "CPU limit in two. Ask",
        ),
        (pod(container("one", 0, memory="3Gi", counted={"0-memory": 1})), "for 1Gi: ask"),
        (
            pod(
                container("one", 1, counted={"1-cpu": 1, "1-memory": 1}),
                init=[container("two")],
            ),
            "two does not ask for numa-align/numa-1. It",
        ),
        (
            pod(container("one", counted={"0-cpu": 1}), container("two", counted={"7-memory": 1})),
            "numa-align/numa-0, numa-align/numa-7",
        ),
    ],
    ids=[
        "NA001",
        "NA002",
        "NA003",
        "NA004",
        "NA005 pod",
        "NA008",
        "NA007 CPUs",
        "NA007 memory",
        "NA004 counted",
        "NA005 counted",
    ],
)
def test_messages_name_the_culprits(policy: ValidatingPolicy, broken: Object, named: str) -> None:
    """A message says which containers or nodes it is about."""
    assert named in policy.refusals(as_admitted(broken), PARAMETERS)[0]


@pytest.mark.parametrize(
    ("broken", "names", "said"),
    [
        (container("one", 0, 1), {"numa-0", "numa-1"}, "No CPU"),
        (
            near(container("one", 1), data=1),
            {"numa-1", "near-data"},
            "On some servers these are two nodes",
        ),
    ],
    ids=["two numbers", "a number and a disk"],
)
def test_message_says_which_nodes_are_in_one_container(
    policy: ValidatingPolicy, broken: Object, names: set[str], said: str
) -> None:
    """NA005 has both names, in any order, for CEL's maps have none; and why they are too many."""
    (message,) = policy.refusals(as_admitted(pod(broken)), PARAMETERS)
    found = re.search(r"in one container: one \((.*), (.*)\)\. " + said, message)
    assert found
    assert {name.removeprefix("numa-align/") for name in found.groups()} == names


def test_one_node_per_pod_is_the_default(policy: ValidatingPolicy) -> None:
    """The shipped parameters, and parameters without data, ask for one node in a pod."""
    apart = pod(container("app", 0), container("other", 1))
    assert codes(policy.refusals(apart, PARAMETERS)) == ["NA005"]
    assert codes(policy.refusals(apart, {"metadata": {"name": "numa-aligned-pods"}})) == ["NA005"]


@pytest.mark.parametrize(
    ("resources", "broken"),
    [
        ({"near-data": 1, "near-data-cpu": 1, "near-data-memory": 1}, []),
        ({"near-data-cpu": 1}, []),
        ({"near-data": 1, "near-data-cpu": 2}, ["NA007"]),
        ({"near-data": 1, "near-log-cpu": 1}, ["NA005"]),
        ({"near-data": 1, "numa-0": 1}, ["NA005"]),
        ({"near-data": 1, "numa-0-cpu": 1}, ["NA005"]),
        ({"near-cpu": 7}, []),  # a name that the agent does not take
    ],
    ids=" ".join,
)
def test_near_names_are_nodes_of_their_own(
    policy: ValidatingPolicy, resources: Object, broken: list[str]
) -> None:
    """What is counted belongs to the name before the ending; a policy knows no node behind it."""
    more = {f"numa-align/{name}": amount for name, amount in resources.items()}
    asking = pod(with_limits(container("app"), more))
    assert codes(policy.refusals(asking, PARAMETERS)) == broken


def _labels_match(selector: Object, labels: Object) -> bool:
    """A label selector of the kinds that the bindings use."""
    holds = {
        "Exists": lambda key, _: key in labels,
        "NotIn": lambda key, values: labels.get(key) not in values,
    }
    return all(labels.get(k) == v for k, v in selector.get("matchLabels", {}).items()) and all(
        holds[e["operator"]](e["key"], e.get("values"))
        for e in selector.get("matchExpressions", [])
    )


@pytest.mark.parametrize(
    ("labels", "actions"),
    [
        ({"numa-align/rules": "deny"}, [["Deny"]]),
        ({"numa-align/rules": "warn"}, [["Warn", "Audit"]]),
        ({"numa-align/rules": "Warn!"}, [["Deny"]]),
        ({}, []),
        (PARAMETERS["metadata"]["labels"], [["Deny"]]),
    ],
    ids=["deny", "warn", "a slip of the pen", "off", "as shipped"],
)
def test_label_selects_the_action(labels: Object, actions: list[list[str]]) -> None:
    """The label of the parameters selects one binding, or none when it is missing."""
    selected = [
        binding["spec"]["validationActions"]
        for binding in BINDINGS
        if _labels_match(binding["spec"]["paramRef"]["selector"], labels)
    ]
    assert selected == actions


def test_missing_parameters_refuse_nobody() -> None:
    """Neither missing parameters nor an error may keep other pods out of the cluster."""
    assert {b["spec"]["policyName"] for b in BINDINGS} == {POLICY["metadata"]["name"]}
    assert {b["spec"]["paramRef"]["parameterNotFoundAction"] for b in BINDINGS} == {"Allow"}
    assert {b["spec"]["paramRef"]["namespace"] for b in BINDINGS} == {
        PARAMETERS["metadata"]["namespace"]
    }
    assert POLICY["spec"]["failurePolicy"] == INIT_POLICY["spec"]["failurePolicy"] == "Ignore"


def test_type_checker_has_nothing_to_warn_about() -> None:
    """The API server's type checker knows no resource lists: the pod is always behind `dyn`."""
    spec = POLICY["spec"]
    for item in [*spec["variables"], *spec["validations"]]:
        for expression in (item["expression"], item.get("messageExpression", "")):
            assert not re.search(r"\bobject\b", expression.replace("dyn(object)", ""))


AMOUNTS: Any = st.sampled_from([1, 2, "2000m", "500m", "0", None])
COUNTED: Any = st.dictionaries(
    st.sampled_from(["0-cpu", "0-memory", "1-cpu", "1-memory"]), st.sampled_from([0, 1, 2, "1k"])
)
CONTAINERS = st.builds(
    lambda nodes, none_of, counted, cpu, memory, requests, fields: container(
        "any",
        *nodes,
        none_of=none_of,
        counted=counted,
        cpu=cpu,
        memory=memory,
        requests=requests,
        **fields,
    ),
    st.lists(st.integers(0, 1), max_size=2),
    st.sampled_from([(), (0,), (1,)]),
    COUNTED,
    AMOUNTS,
    st.sampled_from(["1Gi", "1024Mi", "0", "8Ei", None]),
    st.sampled_from([{}, {"cpu": 1}, {"memory": "1Gi"}]),
    st.sampled_from([{}, {"restartPolicy": "Always"}]),
) | st.just({"name": "bare"})


@given(
    containers=st.lists(CONTAINERS, min_size=1, max_size=3),
    init=st.none() | st.lists(CONTAINERS, max_size=3),
    resources=st.sampled_from([None, {}, {"limits": {"cpu": "1"}}]),
    one_node=st.sampled_from(["true", "false"]),
    unit=st.sampled_from(["1Gi", "1Mi", "1", "0", "-1Gi", "", "1GiB", "7Ei"]),
)
def test_no_pod_ends_in_an_error(
    policy: ValidatingPolicy,
    containers: list[Object],
    init: list[Object] | None,
    resources: Object | None,
    one_node: str,
    unit: str,
) -> None:
    """Every pod gets a verdict, the same with and without the API server's defaults."""
    spec = {} if resources is None else {"resources": resources}
    # Names are unique in a pod.
    named = [{**c, "name": f"c{i}"} for i, c in enumerate(containers + (init or []))]
    any_pod = pod(
        *named[: len(containers)], init=None if init is None else named[len(containers) :], **spec
    )
    parameters = {"data": {"one-node-per-pod": one_node, "memory-unit": unit}}
    verdict = policy.refusals(any_pod, parameters)
    assert codes(verdict) == codes(policy.refusals(as_admitted(any_pod), parameters))


def opted_in(pod: Object) -> Object:
    return {**pod, "metadata": {**pod["metadata"], "annotations": OPT_IN}}


def nodes_of(item: Object) -> Object:
    """What the container asks of us, requests and limits being equal."""
    resources = item.get("resources", {})
    limits, requests = (
        {k: v for k, v in resources.get(kind, {}).items() if k.startswith("numa-align/")}
        for kind in ("limits", "requests")
    )
    assert limits == requests
    return limits


@pytest.mark.parametrize(
    "init",
    [
        container("init"),
        {"name": "init"},
        {"name": "init", "resources": {}},
        {"name": "init", "resources": {"requests": {"cpu": "1"}}},
        sidecar("init"),
    ],
    ids=["with limits", "without resources", "empty", "with requests only", "sidecar"],
)
@pytest.mark.parametrize("defaults", [as_admitted, lambda pod: pod], ids=["admitted", "as written"])
def test_init_containers_get_the_node(
    init_policy: MutatingPolicy, init: Object, defaults: Any
) -> None:
    """An init container without a node gets one slot of the app's, and keeps what it has."""
    before = defaults(opted_in(pod(container("app", 3), init=[container("own", 3), init])))
    after = init_policy.mutated(before)
    own, mutated = after["spec"]["initContainers"]
    assert nodes_of(own) == nodes_of(mutated) == {"numa-align/numa-3": "1"}
    had = as_admitted(before)["spec"]["initContainers"][1]["resources"].get("requests", {})
    assert had.items() <= mutated["resources"]["requests"].items()


@pytest.mark.parametrize(
    ("asked", "given"),
    [
        ({"data": 1}, "near-data"),
        ({"data": 2}, "near-data"),
        ({"data_cpu": 1, "data_memory": 1}, "near-data"),
        ({"data_1": 1, "data_1_cpu": 1}, "near-data-1"),
    ],
    ids=["a disk", "two slots", "counted only", "the second of a glob"],
)
def test_init_containers_get_what_the_app_is_near(
    policy: ValidatingPolicy, init_policy: MutatingPolicy, asked: Object, given: str
) -> None:
    """A name near something is copied as a number is, by its slots; then NA004 has no objection."""
    before = opted_in(pod(near(container("app"), **asked), init=[container("init")]))
    after = init_policy.mutated(as_admitted(before))
    (init,) = after["spec"]["initContainers"]
    assert nodes_of(init) == {f"numa-align/{given}": "1"}
    assert "NA004" not in codes(policy.refusals(after, PARAMETERS))


def test_mutated_pod_passes_the_rules(
    policy: ValidatingPolicy, init_policy: MutatingPolicy
) -> None:
    """What the mutation exists for: NA004 before it, nothing after it."""
    before = as_admitted(opted_in(pod(container("app", 0), init=[container("init")])))
    assert codes(policy.refusals(before, PARAMETERS)) == ["NA004"]
    assert policy.refusals(init_policy.mutated(before), PARAMETERS) == []


def test_zero_of_a_node_names_it(init_policy: MutatingPolicy) -> None:
    """A container with zero slots of a node is aligned to it: it is left as its author wrote it."""
    own = container("own", none_of=(1,))
    after = init_policy.mutated(
        as_admitted(opted_in(pod(container("app", 3), init=[own, container("init")])))
    )
    assert [nodes_of(each) for each in after["spec"]["initContainers"]] == [
        {"numa-align/numa-1": "0"},
        {"numa-align/numa-3": "1"},
    ]


def test_mutation_happens_once(init_policy: MutatingPolicy) -> None:
    """A mutated pod is mutated no further: the API server may call again."""
    once = init_policy.mutated(opted_in(pod(container("app", 0), init=[container("init")])))
    assert init_policy.mutated(once) == once


@pytest.mark.parametrize(
    "untouched",
    [
        pod(container("app", 0), init=[container("init")]),
        opted_in(pod(container("app", 0), container("other", 1), init=[container("init")])),
        opted_in(pod(container("app", 0, 1), init=[container("init")])),
        opted_in(pod(container("app", 0, none_of=(1,)), init=[container("init")])),
        opted_in(pod(container("app"), init=[container("init")])),
        opted_in(pod(container("app", 0))),
        opted_in(pod(container("app", 0), init=[container("init", 1)])),
        opted_in(pod(container("app", none_of=(0,)), init=[container("init")])),
        opted_in(pod(container("app", 0), init=[container("init", none_of=(0,))])),
        opted_in(pod(near(container("app", 1), data=1), init=[container("init")])),
        opted_in(pod(container("app", 1), near(container("b"), data=1), init=[container("init")])),
        opted_in(pod(near(container("app"), data=1), init=[near(container("init"), log=1)])),
    ],
    ids=[
        "not opted in",
        "two nodes",
        "two in one",
        "zero of a second one",
        "no node",
        "no init container",
        "has its own",
        "zero of a node",
        "has zero of the same",
        "a number and a disk in one",
        "a number and a disk",
        "near something else",
    ],
)
def test_other_pods_are_not_mutated(init_policy: MutatingPolicy, untouched: Object) -> None:
    """Without the annotation, or where the node is not certain, the pod stays as it is."""
    admitted = as_admitted(untouched)
    assert init_policy.mutated(admitted) == admitted


@pytest.mark.parametrize("value", ["false", "", "True"])
def test_only_true_opts_in(init_policy: MutatingPolicy, value: str) -> None:
    """The annotation's value is exactly "true"."""
    asking = pod(container("app", 0), init=[container("init")])
    asking["metadata"]["annotations"] = dict.fromkeys(OPT_IN, value)
    assert not init_policy.matching.matches(asking)


def test_init_binding_is_of_the_policy() -> None:
    """The binding names the policy, which without it would do nothing."""
    assert INIT_BINDING["spec"]["policyName"] == INIT_POLICY["metadata"]["name"]
