"""Whatever stands in a manifest, lint and --fix end with an answer."""

import json
from typing import Any

import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from numa_trio.workloads.documents import MalformedDocument, parse_documents
from numa_trio.workloads.lint.check import Options, lint_text
from numa_trio.workloads.lint.fixing import fix_text

KEYS = ["spec", "template", "containers", "initContainers", "resources", "limits", "requests"]
KEYS += ["cpu", "memory", "hugepages-2Mi", "numa-align/numa-0", "numa-align/near-a"]
KEYS += [
    "numa-align/numa-0-cpu",
    "metadata",
    "name",
    "kind",
    "apiVersion",
    "items",
    "restartPolicy",
]
WORDS = ["1", "500m", "0.3Gi", "1Gi", "app", "Pod", "List", "v1", "Always", "512m", "{{ x }}", ""]

ODD: Any = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 3) | st.floats() | st.sampled_from(WORDS),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=5)
    ),
    max_leaves=25,
)
# Mostly such that there is something to mend, with one odd thing now and then.
RIGHT = {"cpu": [1, "2", "1500m", "500m"], "memory": ["1Gi", "0.3Gi", "1.7Mi", "512m"]}
RIGHT |= {name: [0, 1, "2"] for name in KEYS[10:13]}
ODD_AMOUNTS = ["x", None, [1], {}, 0.5, "-1"]
LIMITS: Any = st.fixed_dictionaries(
    {"cpu": st.sampled_from(RIGHT["cpu"]), "memory": st.sampled_from(RIGHT["memory"])},
    optional={name: st.sampled_from(RIGHT[name]) for name in KEYS[10:13]},
)
REQUESTS: Any = st.fixed_dictionaries(
    {}, optional={"cpu": st.just("500m"), "memory": st.just("1Mi"), "numa-align/numa-0": st.just(1)}
)
LISTED: Any = LIMITS | st.dictionaries(st.sampled_from(KEYS[7:13]), st.sampled_from(ODD_AMOUNTS))
CONTAINERS: Any = st.lists(
    st.fixed_dictionaries(
        {"name": st.integers(0, 99).map("c{}".format)},
        optional={
            "resources": st.fixed_dictionaries({"limits": LIMITS}, optional={"requests": REQUESTS})
            | st.fixed_dictionaries({}, optional={"limits": LISTED, "requests": LISTED | ODD}),
            "restartPolicy": st.just("Always"),
        },
    ),
    max_size=3,
)
PODS: Any = st.fixed_dictionaries(
    {"apiVersion": st.just("v1"), "kind": st.just("Pod")},
    optional={
        "metadata": st.just({"name": "a"}) | ODD,
        "spec": st.fixed_dictionaries(
            {"containers": CONTAINERS},
            optional={
                "initContainers": CONTAINERS,
                "resources": st.just({"limits": {"cpu": 99, "memory": "99Gi"}}),
            },
        ),
    },
)


@given(st.lists(ODD, max_size=3))
def test_any_values(values: list[object]) -> None:
    """Values of any type at any place: a finding, or nothing."""
    text = yaml.safe_dump_all(values)
    for finding in lint_text("f", text, Options()).findings:
        assert finding.text.isprintable()
        assert 1 <= finding.place.line <= text.count("\n") + 1


@settings(max_examples=60)
@given(PODS, st.booleans())
def test_what_is_fixed_is_clean_and_nothing_else_changes(
    pod: dict[str, Any], as_json: bool
) -> None:
    """After --fix nothing is left that could be fixed, and only what findings name has changed."""
    text = json.dumps(pod, indent=2) if as_json else yaml.safe_dump(pod, sort_keys=False)
    mended = fix_text("f", text, Options())
    assert not any(each.fixable for each in mended.left.findings)
    assert all(each.held_back == "" for each in mended.left.findings)
    (before,), (after,) = parse_documents(text.encode()), parse_documents(mended.text.encode())
    edited = {edit.steps for finding in mended.fixed for edit in finding.edits}
    for steps in differing(before, after):
        assert any(steps[: len(each)] == each or each[: len(steps)] == steps for each in edited)
    if not mended.fixed:
        assert mended.text == text


def differing(
    one: object, other: object, steps: tuple[object, ...] = ()
) -> list[tuple[object, ...]]:
    """The paths of what differs."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [*one, *(key for key in other if key not in one)]
        return [
            each
            for key in keys
            for each in (
                differing(one[key], other[key], (*steps, key))
                if key in one and key in other
                else [(*steps, key)]
            )
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        pairs = enumerate(zip(one, other, strict=True))
        return [each for place, pair in pairs for each in differing(*pair, (*steps, place))]
    return [] if repr(one) == repr(other) else [steps]


@given(
    st.lists(
        st.sampled_from(["{", "}", "- ", "a: ", "\n", "\t", "'", "&a ", "*a", "{{", "x", "<<: "])
    )
)
def test_any_text(parts: list[str]) -> None:
    """A text that is no YAML is refused in one line."""
    try:
        mended = fix_text("f", "".join(parts), Options())
    except MalformedDocument as problem:
        said = str(problem)
    else:
        said = f"{mended.left}"
    assert said.isprintable()
