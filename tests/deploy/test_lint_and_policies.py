"""lint, the admission policies and kubelet agree, on lint's corpus and on the policies' pods."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploy.admission import ValidatingPolicy, as_admitted
from deploy.manifests import PARAMETERS
from deploy.near_pods import NEAR_LET_IN, NEAR_REFUSED
from deploy.pods import LET_IN, NOT_OURS, REFUSED, Case, Object, pod
from deploy.test_policies_and_kubelet import any_pod, is_pinned, verdict_on
from lint_cases import CORPUS, OPTIONS, found_in, mended, text_in
from numa_trio.workloads.controllers import CONTROLLERS
from numa_trio.workloads.documents import parse_documents
from numa_trio.workloads.fields import Field
from numa_trio.workloads.lint.check import Options
from numa_trio.workloads.lint.finding import Finding
from numa_trio.workloads.lint.fixing import fix_text
from numa_trio.workloads.lint.objects import Template, templates_in
from numa_trio.workloads.quantity import parse_quantity

# The policy's switch for two nodes in a pod, and units that are none, have no equal in lint.
CASES = [
    case
    for case in LET_IN + NEAR_LET_IN + REFUSED + NEAR_REFUSED + NOT_OURS
    if case.one_node_per_pod == "true" and re.fullmatch("[0-9]+[GM]i", case.memory_unit)
]


def of_the_policy(findings: list[Finding]) -> list[str]:
    return sorted(each.code for each in findings if each.code < "NA100")


def codes(messages: list[str]) -> list[str]:
    return sorted(message.split(":")[0] for message in messages)


def pods_in(text: str) -> list[Object]:
    """The pods that would come of a text, as far as the policies look at them."""
    return [
        {"metadata": {"name": "pod"}, "spec": each.pod.below("spec").value}
        for value in parse_documents(text.encode())
        for each in templates_in(Field("f", value))
        if isinstance(each, Template)
    ]


def controller_of(kind: str, template: Object) -> Object:
    """An object that makes pods of this template."""
    whole: Any = template
    for key in reversed(CONTROLLERS[kind].path):
        whole = {key: whole}
    return {
        "apiVersion": CONTROLLERS[kind].version,
        "kind": kind,
        "metadata": {"name": "x"},
    } | whole


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_pods_of_the_policies(policy: ValidatingPolicy, case: Case) -> None:
    """Each pod of the policies' tables has the codes in lint that the policy gives it."""
    options = Options(memory_unit=int(parse_quantity(case.memory_unit)))
    found = found_in(json.dumps(case.pod), options)
    assert [each.text for each in found if each.code == "NA100"] == []
    assert of_the_policy(found) == sorted(case.broken)
    parameters = {"data": {"one-node-per-pod": "true", "memory-unit": case.memory_unit}}
    assert of_the_policy(found) == codes(policy.refusals(as_admitted(case.pod), parameters))


@pytest.mark.parametrize("kind", CONTROLLERS)
def test_templates_of_each_kind(kind: str) -> None:
    """What makes pods is judged by its template."""
    for case in REFUSED[::7]:
        template = {key: case.pod[key] for key in ("metadata", "spec")}
        found = found_in(json.dumps(controller_of(kind, template)))
        if case.one_node_per_pod == "true" and case.memory_unit == "1Gi":
            assert of_the_policy(found) == sorted(case.broken), case.name


# The API server takes no other, whatever the policies say.
TAKEN = [
    file
    for file in CORPUS
    if not any(each.code in {"NA100", "NA101"} for each in found_in(text_in(file)))
]


@pytest.mark.parametrize("file", TAKEN, ids=lambda file: file.name)
def test_corpus_of_lint(policy: ValidatingPolicy, file: Path) -> None:
    """Each pod of lint's corpus that the API server takes has the codes of the policy."""
    said = [policy.refusals(as_admitted(each), PARAMETERS) for each in pods_in(text_in(file))]
    found = of_the_policy(found_in(text_in(file)))
    assert found == codes([message for each in said for message in each])


@settings(max_examples=20)
@given(containers_and_init=st.integers(0, 1).flatmap(any_pod))
def test_any_pod(
    policy: ValidatingPolicy, containers_and_init: tuple[list[Object], list[Object]]
) -> None:
    """So has any other pod; and after --fix, kubelet pins what lint has no errors about."""
    containers, init = containers_and_init
    named = [{**c, "name": f"c{i}"} for i, c in enumerate(containers + init)]
    manifest = pod(*named[: len(containers)], init=named[len(containers) :])
    text = json.dumps(manifest, indent=2)
    found = found_in(text)
    assert of_the_policy(found) == codes(policy.refusals(as_admitted(manifest), PARAMETERS))
    fixed = fix_text("f", text, OPTIONS)
    if not any(each.severity == "error" for each in fixed.left.findings):
        (after,) = pods_in(fixed.text)
        assert policy.refusals(as_admitted(after), PARAMETERS) == []
        assert is_pinned(verdict_on(after))


def errors_after_fixing(file: Path) -> list[Finding]:
    left = mended(file).left.findings
    return [each for each in left if each.severity == "error"]


FIXABLE = [file for file in CORPUS if any(each.fixable for each in found_in(text_in(file)))]
# Of the others something is left that their authors have to decide.
MENDED = [file for file in FIXABLE if not errors_after_fixing(file)]


@pytest.mark.parametrize("file", MENDED, ids=lambda file: file.name)
def test_kubelet_pins_what_was_fixed(policy: ValidatingPolicy, file: Path) -> None:
    """A mended pod about which no error is left is admitted by the policy and pinned by kubelet."""
    for each in pods_in(mended(file).text):
        assert policy.refusals(as_admitted(each), PARAMETERS) == []
        assert is_pinned(verdict_on(each))


def test_nearly_all_of_the_corpus_is_looked_at() -> None:
    """The lists above leave out few."""
    assert len(TAKEN) >= 70
    assert len(MENDED) >= 25
    assert len(FIXABLE) - len(MENDED) <= 4
