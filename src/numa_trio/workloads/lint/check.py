"""Lints the text of one file."""

from collections.abc import Iterable, Iterator

from attrs import define, field, frozen

from numa_trio.workloads.documents import Document, MalformedDocument, documents_of, json_node
from numa_trio.workloads.fields import BadFile, Field
from numa_trio.workloads.lint.codes import CODES
from numa_trio.workloads.lint.finding import Finding, Remark
from numa_trio.workloads.lint.lines import lines_of
from numa_trio.workloads.lint.mends import Broken, edits_for, suggested_edits
from numa_trio.workloads.lint.objects import Template, refusal, templates_in
from numa_trio.workloads.lint.own_checks import containers_in, own_remarks
from numa_trio.workloads.lint.places import place_of
from numa_trio.workloads.lint.sharing import shared_parts
from numa_trio.workloads.manifest import read_pod
from numa_trio.workloads.rules import broken_rules

_TEMPLATE = "{{"
_RENDER = "; it is a template: render it first, as in `helm template … | numa-trio lint -`"

_SHARED = "an alias shares these lines with others: change them by hand"

# What a rule's own text, which is the admission policy's too, leaves out.
_MORE = {
    "NA006": (
        " Kubelet pins such pods from Kubernetes 1.36 on, only with the feature gates"
        " PodLevelResources and PodLevelResourceManagers (1.36: alpha; 1.37: beta, off by default)."
    )
}


@frozen
class Options:
    """What the findings depend on besides the file."""

    domain: str = "numa-align"
    memory_unit: int = 1 << 30
    ignored: frozenset[str] = frozenset()


@define
class Linted:
    """What is found in a file; `passed_over` counts the objects of each kind that make no pods."""

    findings: list[Finding] = field(factory=list)
    passed_over: dict[str, int] = field(factory=dict)
    pods: int = 0


def lint_text(file: str, text: str, options: Options = Options()) -> Linted:
    """The findings in a text, in its order. Raises `MalformedDocument`."""
    try:
        documents = documents_of(text)
    except MalformedDocument as problem:
        if _TEMPLATE not in text:
            raise
        raise MalformedDocument("", problem.problem + _RENDER, problem.place) from None
    result = Linted()
    for number, document in enumerate(documents):
        if document.value is not None:
            _lint_document(_Source(file, text, number, document, options), result)
    return result


@frozen
class _Source:
    file: str
    text: str
    number: int
    document: Document
    options: Options


def _lint_document(source: _Source, result: Linted) -> None:
    whole = Field(source.file, source.document.value)
    if not isinstance(whole.value, dict):
        result.passed_over["(none)"] = result.passed_over.get("(none)", 0) + 1
        return
    found: list[tuple[str, Remark]] = []
    for each in templates_in(whole):
        match each:
            case str(kind):
                result.passed_over[kind] = result.passed_over.get(kind, 0) + 1
            case Remark():
                found.append(("", each))
            case Template():
                result.pods += 1
                remarks = _without_echoes(_remarks(each, source.options, whole))
                found += [(each.name, remark) for remark in remarks]
    found = [each for each in found if each[1].code not in source.options.ignored]
    if found:
        result.findings += sorted(_findings(source, whole, found), key=_position)


def _position(finding: Finding) -> tuple[int, int, str]:
    return finding.place.line, finding.place.column, finding.code


def _findings(
    source: _Source, whole: Field, found: Iterable[tuple[str, Remark]]
) -> Iterator[Finding]:
    node = source.document.node or json_node(source.text)
    shared = shared_parts(whole.value)
    for name, remark in found:
        hint = _RENDER if remark.code == "NA100" and _TEMPLATE in remark.text else ""
        yield Finding(
            file=source.file,
            document=source.number,
            object_name=name,
            code=remark.code,
            severity=remark.severity or CODES[remark.code].severity,
            text=remark.text.removesuffix(".") + hint + "." if hint else remark.text,
            places=tuple(place_of(node, each) for each in remark.fields),
            suggestion=remark.suggestion or lines_of(whole, remark.edits),
            edits=remark.edits,
            held_back=_SHARED if any(map(shared.touches, remark.edits)) else "",
        )


def _remarks(template: Template, options: Options, document: Field) -> Iterator[Remark]:
    yield from _of_the_rules(template, options, document)
    yield from own_remarks(template, options.domain)


def _of_the_rules(template: Template, options: Options, document: Field) -> Iterator[Remark]:
    try:
        pod = read_pod(template.pod, template.name, "default")
    except BadFile as problem:
        yield refusal(document, problem)
        return
    containers = {str(each.below("name").value): each for each, _ in containers_in(template)}
    for rule in broken_rules(pod, options.domain, options.memory_unit):
        broken = Broken(rule, pod, template.pod, containers, options.domain, options.memory_unit)
        edits = edits_for(broken)
        yield Remark(
            rule.code,
            rule.text + _MORE.get(rule.code, ""),
            tuple(map(broken.field, rule.spots)),
            edits,
            lines_of(document, edits or suggested_edits(broken)),
        )


def _without_echoes(remarks: Iterable[Remark]) -> list[Remark]:
    """Without what the API server refuses where another finding says more of the same field."""
    found = list(remarks)
    told = {each.fields[0].steps for each in found if each.code != "NA100"}
    return [each for each in found if each.code != "NA100" or each.fields[0].steps not in told]
