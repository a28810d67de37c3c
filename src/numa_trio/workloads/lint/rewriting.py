"""Writes edits into the text of a file, and leaves all other lines as they are.

ruamel.yaml keeps comments and order; what it writes is read again, and must say the same as the
text with the edits. Nothing is changed that cannot be proved so.
"""

import copy
import json
import re
from collections.abc import Callable, Iterator, Sequence

from attrs import frozen

from numa_trio.workloads.documents import Document, MalformedDocument, documents_of
from numa_trio.workloads.lint.finding import Edit, Finding
from numa_trio.workloads.lint.writers import apply, write_json, write_yaml

Write = Callable[[str, Sequence[Edit]], str]


@frozen
class Rewritten:
    """The text with the edits of these findings made."""

    text: str
    fixed: tuple[Finding, ...]


def rewrite(text: str, findings: Sequence[Finding]) -> Rewritten:
    """Make the edits of the findings that have some; those that cannot be made are left out.

    Raises `MalformedDocument` for a text that cannot be read.
    """
    documents = documents_of(text)
    by_document: dict[int, list[Finding]] = {}
    for each in _without_conflicts(findings):
        by_document.setdefault(each.document, []).append(each)
    pieces: list[str] = []
    fixed: list[Finding] = []
    done = 0
    for number, chosen in sorted(by_document.items()):
        start, end = _span(text, documents[number])
        piece, made = _edited(text[start:end], documents[number], chosen)
        pieces += [text[done:start], piece]
        fixed += made
        done = end
    return Rewritten("".join([*pieces, text[done:]]), tuple(fixed))


def _without_conflicts(findings: Sequence[Finding]) -> Iterator[Finding]:
    """Those that can be fixed; of two that write the same field, the first."""
    written: set[tuple[int, object]] = set()
    for each in findings:
        fields = {(each.document, edit.steps) for edit in each.edits}
        if each.fixable and not fields & written:
            written |= fields
            yield each


def _span(text: str, document: Document) -> tuple[int, int]:
    """Where the document's own lines begin and end; behind `--- ` on its first line, if that."""
    if document.node is None:
        return 0, len(text)
    first, last = document.node.start_mark.index, document.node.end_mark.index
    start = max(text.rfind("\n", 0, first), text.rfind("\r", 0, first)) + 1
    if text[start:first].strip(" "):
        start = first
    if last and text[last - 1] not in "\r\n":
        rest = re.compile(r"[^\r\n]*(\r\n|\r|\n)?").match(text, last)
        last = rest.end() if rest else last
    return start, last


def _edited(
    piece: str, document: Document, findings: Sequence[Finding]
) -> tuple[str, tuple[Finding, ...]]:
    """The piece with all edits, or else with those that can be made one after another."""
    write = write_json if document.node is None else write_yaml
    together = _proved(piece, [edit for each in findings for edit in each.edits], write)
    if together is not None:
        return together, tuple(findings)
    made = []
    for each in findings if len(findings) > 1 else []:
        alone = _proved(piece, each.edits, write)
        if alone is not None:
            piece = alone
            made.append(each)
    return piece, tuple(made)


def _proved(piece: str, edits: Sequence[Edit], write: Write) -> str | None:
    """The piece with the edits, if it then says just that."""
    try:
        (before,) = documents_of(piece)
        expected = copy.deepcopy(before.value)
        apply(expected, edits)
        text = write(piece, edits)
        (after,) = documents_of(text)
    except (MalformedDocument, ValueError, RecursionError):
        return None
    return text if _same(after.value, expected) else None


def _same(one: object, other: object) -> bool:
    """Whether two values are equal in JSON, where 1 and true are not, with keys in their order."""
    return json.dumps(one) == json.dumps(other)
