"""Writes a document of YAML or JSON with some edits; the lines that they do not touch stay."""

import io
import json
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, cast

from numa_trio.workloads.lint.finding import Edit, Scalar
from numa_trio.workloads.lint.same_lines import with_changes

if TYPE_CHECKING:
    from ruamel.yaml.comments import CommentedMap

# Of mappings, of lists, and of the dash in lists: the styles that people write.
_INDENTS = ((2, 2, 0), (2, 4, 2), (4, 2, 0), (4, 4, 2), (4, 4, 0), (4, 6, 4), (4, 8, 4))
_ANY_WIDTH = 1 << 30
_AFTER = {"CommentedMap": 2, "CommentedSeq": 0}  # where the comment after an entry is kept


def apply(value: object, edits: Sequence[Edit]) -> None:
    """Make the edits in a value; mappings that are missing on the way are added."""
    for edit in edits:
        *way, last = edit.steps
        place = value
        for step in way:
            match place, step:
                case dict(), str():
                    if place.get(step) is None:
                        place[step] = {}
                    place = place[step]
                case list(), int():
                    place = place[step]
                case _:
                    raise ValueError(edit.steps)
        if not isinstance(place, dict) or not isinstance(last, str):
            raise ValueError(edit.steps)
        if edit.value is None:
            del place[last]
        elif last in place or not hasattr(place, "ca"):
            place[last] = edit.value
        else:
            _append(cast("CommentedMap", place), last, edit.value)


def _append(place: "CommentedMap", key: str, value: Scalar) -> None:
    """Add an entry to a mapping of ruamel.yaml's, before what follows the last one.

    Comments and empty lines on the lines after an entry are kept with it; they are moved on.
    """
    from ruamel.yaml.comments import CommentedMap, CommentedSeq
    from ruamel.yaml.tokens import CommentToken

    inmost, last = place, next(reversed(place), None)
    while (
        last is not None and isinstance(inmost[last], CommentedMap | CommentedSeq) and inmost[last]
    ):
        inmost = inmost[last]
        last = next(reversed(inmost)) if isinstance(inmost, CommentedMap) else len(inmost) - 1
    place[key] = value
    token = inmost.ca.items.get(last, [None] * 4)[_AFTER.get(type(inmost).__name__, 0)]
    if isinstance(token, CommentToken):
        own, newline, following = token.value.partition("\n")
        if following:
            token.value = own + newline
            place.ca.items[key] = [
                None,
                None,
                CommentToken("\n" + following, token.start_mark),
                None,
            ]


def write_yaml(piece: str, edits: Sequence[Edit]) -> str:
    """The document with the edits, by ruamel.yaml; raises `ValueError` where it cannot be."""
    text, newline = _unix_lines(piece)
    original = text.split("\n")
    best: list[str] | None = None
    for indents in _INDENTS:
        written = _dumped(text, (), indents)
        if best is None or _unlike(written, original) < _unlike(best, original):
            best, style = written, indents
        if best == original:
            break
    assert best is not None
    return newline.join(with_changes(original, best, _dumped(text, edits, style)))


def _unix_lines(piece: str) -> tuple[str, str]:
    """The text with the line ends of Unix, and those that it has: they must all be alike."""
    text = piece.replace("\r\n", "\n")
    newline = "\n" if text == piece else "\r\n"
    if text.replace("\n", newline) != piece or "\r" in text:
        raise ValueError("line ends of several kinds")
    return text, newline


def _unlike(written: Sequence[str], original: Sequence[str]) -> int:
    """How many lines differ, side by side; a line more or less counts for all after it."""
    differing = sum(one != other for one, other in zip(written, original, strict=False))
    return differing + abs(len(written) - len(original))


def _dumped(text: str, edits: Sequence[Edit], indents: tuple[int, int, int]) -> list[str]:
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = _ANY_WIDTH
    mapping, sequence, offset = indents
    yaml.indent(mapping=mapping, sequence=sequence, offset=offset)
    target = io.StringIO()
    try:
        value = yaml.load(text)
        apply(value, edits)
        yaml.dump(value, target)
    except Exception as problem:  # noqa: BLE001  for odd texts it raises errors of many kinds
        raise ValueError(f"ruamel.yaml: {problem}") from None
    lines = target.getvalue().split("\n")
    return lines if text.endswith("\n") else lines[:-1]


def write_json(piece: str, edits: Sequence[Edit]) -> str:
    """The document with the edits; raises `ValueError` where it cannot be."""
    text, newline = _unix_lines(piece)
    body = text.rstrip("\n")
    indented = re.search(r"\n([ \t]+)\S", body)
    value = json.loads(body)

    def written() -> list[str]:
        dumped = json.dumps(
            value,
            indent=indented[1] if indented else None,
            separators=(",", ":") if not indented and '": ' not in body else None,
            ensure_ascii=body.isascii(),
        )
        return dumped.split("\n")

    unchanged = written()
    apply(value, edits)
    lines = with_changes(body.split("\n"), unchanged, written())
    return newline.join(lines) + newline * (len(text) - len(body))
