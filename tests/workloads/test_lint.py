"""What lint finds, and where."""

from pathlib import Path

import pytest
import yaml

from lint_cases import CORPUS, expected_of, found_in, shown, text_in
from numa_trio.workloads.documents import MalformedDocument
from numa_trio.workloads.lint.check import Options, lint_text
from numa_trio.workloads.lint.codes import CODES
from numa_trio.workloads.lint.finding import Finding

POD = """\
apiVersion: v1
kind: Pod
metadata: {name: web, ownerReferences: [{kind: Web}]}
spec:
  nodeName: server-a
  containers:
    - name: app
      resources: {limits: {cpu: 1, memory: 1Gi, numa-align/numa-0: 1}}
"""


def codes(findings: list[Finding]) -> list[str]:
    return [each.code for each in findings]


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_finds_what_is_expected(file: Path) -> None:
    """Each manifest of the corpus has just the findings that stand beside it, at their places."""
    assert [shown(each) for each in found_in(text_in(file))] == expected_of(file)


def test_corpus_has_each_code_and_good_manifests() -> None:
    """No code goes without a manifest that has it, and many have nothing."""
    lines = [line for file in CORPUS for line in expected_of(file)]
    assert {line.split()[1] for line in lines} == set(CODES)
    assert len(CORPUS) >= 60
    assert len([file for file in CORPUS if not expected_of(file)]) >= 15


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_places_are_those_of_the_words(file: Path) -> None:
    """At a place's line and column stands the last word of its path, or what it would stand in."""
    lines = text_in(file).splitlines()
    for finding in found_in(text_in(file)):
        for place in finding.places:
            if "found nothing" in finding.text:
                continue
            rest = lines[place.line - 1][place.column - 1 :].lstrip("'\"")
            parts = place.path.replace("/", ".").replace("]", "").replace("[", ".").split(".")
            words = [word for word in parts if word and not word.isdigit()]
            assert any(rest.startswith((word, f"numa-align/{word}")) for word in words) or (
                rest.startswith(("name", '"name"', "- ", "{"))
            ), (place, rest)


def test_each_finding_says_what_to_write() -> None:
    """All but what has no one answer come with the lines to write, which are YAML."""
    without = set()
    for file in CORPUS:
        for finding in found_in(text_in(file)):
            lines = [line for line in finding.suggestion if not line.startswith("#")]
            assert yaml.safe_load("\n".join(finding.suggestion)) is not None or not lines
            if not finding.suggestion:
                without.add(finding.code)
            assert finding.suggestion or not finding.fixable
    assert without <= {"NA001", "NA004", "NA006", "NA007", "NA100", "NA107", "NA108"}


def test_a_pod_that_is_well_has_no_findings() -> None:
    """What the other tests change is right before."""
    assert found_in(POD) == []


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("cpu: 1,", "cpu: 500m,", ["NA002"]),
        ("nodeName: server-a", "nodeName: ''", ["NA104"]),
        ("nodeName: server-a", "nodeSelector: {}", ["NA104"]),
        (", ownerReferences: [{kind: Web}]", "", ["NA105"]),
        ("numa-0: 1}", "numa-0: 2}", ["NA103"]),
        ("numa-0: 1}", "numa-0: '0'}", ["NA102"]),
        ("numa-0: 1}", "numa-0: 500m}", ["NA100"]),
        ("numa-0: 1}", "numa-0: 1, numa-align/numa-01: 1}", ["NA005", "NA108"]),
        ("numa-0", "near-volume", []),
        ("numa-0", "near-_", ["NA108"]),
        ("numa-0", "numa-63", []),
        ("numa-0", "numa-640", ["NA108"]),
        ("numa-0", "node-cpu", ["NA108"]),
        ("name: app", "name: App", ["NA100"]),
        ("apiVersion: v1", "apiVersion: [v1]", ["NA100"]),
        ("apiVersion: v1", "apiVersion: v2", ["NA100"]),
        ("apiVersion: v1", "apiVersion: example.com/v1", []),
        ("kind: Pod", "kind: [Pod]", []),
        ("kind: Pod", "kind: PodSet", []),
    ],
)
def test_one_thing_changed(old: str, new: str, expected: list[str]) -> None:
    """A change of one word has one finding, or none where it is right as well."""
    assert old in POD
    assert sorted(codes(found_in(POD.replace(old, new)))) == expected


@pytest.mark.parametrize("kind", ["", "restartPolicy: Always"])
def test_only_ordinary_init_containers_are_at_risk(kind: str) -> None:
    """A sidecar with the resource in a bare pod keeps its device over a restart of kubelet."""
    init = f"{{name: i, {kind}{', ' if kind else ''}resources: "
    init += "{limits: {cpu: 1, memory: 1Gi, numa-align/numa-0: 1}}}"
    bare = POD.replace(", ownerReferences: [{kind: Web}]", "")
    text = bare.replace("  containers:", f"  initContainers: [{init}]\n  containers:")
    assert codes(found_in(text)) == (["NA105"] if kind else ["NA105", "NA106"])


def test_what_the_api_server_refuses_is_told_once() -> None:
    """A resource in the requests only is NA101, without NA100 at the same place."""
    text = POD.replace("limits: {cpu", "requests: {cpu")
    assert codes(found_in(text)) == ["NA101"]


def test_one_odd_pod_hides_no_other() -> None:
    """In a list, each object is looked at, whatever is beside it."""
    odd = "{kind: Pod, apiVersion: v1, spec: 5}"
    wrong = "{kind: Pod, apiVersion: v1, metadata: {name: a}, spec: {containers: [{name: a,"
    wrong += " resources: {limits: {cpu: 500m, memory: 1Gi, numa-align/near-a: 1}}}]}}"
    assert codes(found_in("kind: List\nitems: 5\n")) == ["NA100"]
    items = f"items: [{odd}, 5, {{kind: Service}}, {wrong}]"
    result = lint_text("f", f"kind: List\napiVersion: v1\n{items}\n", Options())
    assert sorted(codes(result.findings)) == ["NA002", "NA100", "NA105"]
    assert result.passed_over == {"(none)": 1, "Service": 1}


def test_typed_lists_are_lists() -> None:
    """A PodList, as the API gives it, has the pods of a List."""
    text = "kind: PodList\nitems:\n- " + "  ".join(POD.replace("1Gi", "0.3Gi").splitlines(True))
    assert codes(found_in(text)) == ["NA008"]


def test_another_domain_and_another_unit() -> None:
    """The agent's settings NUMA_RESOURCE_DOMAIN and NUMA_MEMORY_UNIT change what is found."""
    theirs = POD.replace("numa-align/numa-0: 1", "example.com/numa-0: 1").replace(
        "cpu: 1", "cpu: 1m"
    )
    assert found_in(theirs) == []
    assert codes(found_in(theirs, Options(domain="example.com"))) == ["NA002"]
    counted = POD.replace("numa-0: 1", "numa-0: 1, numa-align/numa-0-memory: 2")
    assert found_in(counted) == []
    assert codes(found_in(counted, Options(memory_unit=1 << 28))) == ["NA007"]


def test_codes_can_be_ignored() -> None:
    """What is ignored is not found."""
    text = POD.replace("cpu: 1", "cpu: 1m").replace("nodeName", "hostname")
    assert codes(found_in(text)) == ["NA002", "NA104"]
    assert codes(found_in(text, Options(ignored=frozenset({"NA002"})))) == ["NA104"]


def test_na006_says_from_when_on_it_is_fine() -> None:
    """The rule's text is the policy's; the version of Kubernetes is lint's to add."""
    text = POD.replace(
        "  containers:", "  resources: {limits: {cpu: 2, memory: 2Gi}}\n  containers:"
    )
    (finding,) = found_in(text)
    assert finding.code == "NA006"
    assert "from Kubernetes 1.36 on" in finding.text
    assert "PodLevelResourceManagers" in finding.text


@pytest.mark.parametrize(
    ("text", "place", "problem"),
    [
        ("kind: Pod\nspec: [", (2, 8), "is not YAML"),
        ("kind: Pod\nspec: {a: 1,\n  a: 2}", (3, 3), "'a' for the second time"),
        ('{"kind": "Pod",\n\t"spec": 1,\n\t"spec": 2}', (3, 2), "'spec' twice in one object"),
        ("a:\n\tb: 1", (2, 1), "cannot start any token"),
        ("kind: Pod\nspec: *none", (2, 7), "undefined alias"),
        ("a: &a [*a]", (1, 4), "an alias of what it stands in"),
        ("spec:\n  cpu: {{ .Values.cpu }}", (2, 9), "it is a template: render it first"),
        ("{{- if .Values.on }}\nkind: Pod\n{{- end }}", (1, 3), "it is a template"),
        ("a: !Ref b", (1, 4), "'!Ref'"),
    ],
)
def test_bad_yaml_has_its_place(text: str, place: tuple[int, int], problem: str) -> None:
    """Line and column come apart from the text, and a template is called one."""
    with pytest.raises(MalformedDocument, match=problem) as caught:
        lint_text("f", text, Options())
    assert caught.value.place == place
    assert caught.value.problem.isprintable()


def test_a_template_in_quotes_is_called_one() -> None:
    """What YAML can read, but Kubernetes cannot."""
    (finding,) = found_in(POD.replace("cpu: 1,", "cpu: '{{ .Values.cpu }}',"))
    assert finding.code == "NA100"
    assert "render it first" in finding.text


def test_ten_thousand_documents() -> None:
    """Documents are looked at one by one, whatever their number."""
    text = "---\n".join(["kind: A\n"] * 10_000 + [POD.replace("1Gi", "0.3Gi")])
    result = lint_text("f", text, Options())
    assert [(each.code, each.place.line) for each in result.findings] == [("NA008", 20_008)]
    assert result.passed_over == {"A": 10_000}
