"""The text of YAML and JSON files as plain values, within bounds, whoever wrote them.

Read as kubectl reads them (sigs.k8s.io/yaml): a key may be given once, keys are text, dates and
numbers to the base of 60 are text. Merge keys (`<<`) are followed.
"""

import json
import re
import textwrap
from collections.abc import Iterator, Sequence
from typing import cast

import yaml

from numa_trio.workloads.quantity import shown

MOST_BYTES = 1 << 20  # of a file; the API server takes objects of up to 1.5 MiB
_MOST_LEVELS = 64  # of lists and mappings in one another; a pod needs some ten
_MOST_VALUES = 200_000  # with those that aliases repeat; more than a file of text holds
_MOST_WORDS = 200  # characters of what the parser says, as it may quote the file
_MOST_DIGITS = 64  # of a number; what has more stays text, so that its field says what it expects

_TAG = "tag:yaml.org,2002:"
_TEXT = {"str", "timestamp", "value", "merge"}
_BOOLEANS = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
_BASES = (
    (re.compile(r"0b[01]+"), 2),
    (re.compile(r"0x[0-9a-f]+"), 16),
    (re.compile(r"0[0-7]+"), 8),
)


class MalformedDocument(ValueError):
    """The text cannot be read: what is wrong, in one line, and where."""


def parse_documents(content: bytes) -> list[object]:
    """The value of each document; None for an empty one. Raises `MalformedDocument`.

    Values are None, bool, int, float, str, lists, and mappings with keys of text. Parts that the
    file names by aliases are shared.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        raise MalformedDocument(
            f"is not text: byte {problem.start} is not UTF-8; expected YAML or JSON in UTF-8"
        ) from None
    # YAML has nearly all of JSON, but for one: tabs that indent.
    if text.lstrip().startswith(("{", "[")):
        try:
            return [json.loads(text, object_pairs_hook=_unique, parse_int=_whole_number)]
        except (json.JSONDecodeError, RecursionError):
            pass  # a mapping or list in YAML's own way
    try:
        return list(_Reading(text).documents())
    except yaml.MarkedYAMLError as problem:
        raise MalformedDocument(_in_one_line(problem)) from None
    except yaml.reader.ReaderError as problem:
        raise MalformedDocument(
            f"is not YAML: {_place(text, problem.position)}: character"
            f" U+{problem.character:04X}: {problem.reason}"
        ) from None
    except (ValueError, OverflowError):
        raise MalformedDocument(
            r"is not YAML: found an escape (\U) that is not a character;"
            r" expected at most \U0010FFFF"
        ) from None


class _Bounded(yaml.SafeLoader):
    """PyYAML's parser, which would follow any number of levels until the stack is full."""

    _levels = 0

    def compose_node(self, parent: yaml.Node | None, index: object) -> yaml.Node | None:
        self._levels += 1
        if parent is not None and self._levels > _MOST_LEVELS:
            raise _bad(parent, f"expected at most {_MOST_LEVELS} levels of nesting")
        node: yaml.Node | None = super().compose_node(parent, index)  # type: ignore[arg-type]  # an index is an int for a list, a node for a mapping
        self._levels -= 1
        return node


class _Reading:
    """The values of a text's nodes: each built once, each counted as often as it is named."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._count = 0
        self._built: dict[yaml.Node, tuple[object, int]] = {}
        self._unfinished: set[yaml.Node] = set()

    def documents(self) -> Iterator[object]:
        for node in yaml.compose_all(self._text, _Bounded):
            self._built.clear()
            yield self._value(node)

    def _value(self, node: yaml.Node) -> object:
        if node in self._built:
            value, size = self._built[node]
            self._add(size, node)
            return value
        if node in self._unfinished:
            raise _bad(node, "found an alias of what it stands in; expected one of something else")
        self._unfinished.add(node)
        before = self._count
        self._add(1, node)
        value = self._new_value(node)
        self._built[node] = value, self._count - before
        self._unfinished.remove(node)
        return value

    def _add(self, values: int, node: yaml.Node) -> None:
        self._count += values
        if self._count > _MOST_VALUES:
            raise _bad(node, f"expected at most {_MOST_VALUES} values, those of aliases included")

    def _new_value(self, node: yaml.Node) -> object:
        kind = node.tag.removeprefix(_TAG)
        match node:
            case yaml.ScalarNode():
                return _scalar(node, kind)
            case yaml.SequenceNode() if kind == "seq":
                return [self._value(each) for each in node.value]
            case yaml.MappingNode() if kind == "map":
                return self._mapping(node)
        raise _unknown_tag(node, kind)

    def _mapping(self, node: yaml.MappingNode) -> dict[str, object]:
        own: dict[str, object] = {}
        merged: dict[str, object] = {}
        for key, value in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise _bad(key, "found a list or mapping as a key; expected text")
            if key.tag == _TAG + "merge":
                for name, inherited in self._merged(value):
                    merged.setdefault(name, inherited)
            elif key.value in own:
                raise _bad(key, f"found {shown(key.value)} for the second time; expected it once")
            else:
                own[key.value] = self._value(value)
        return merged | own

    def _merged(self, node: yaml.Node) -> Iterator[tuple[str, object]]:
        value = self._value(node)
        for mapping in value if isinstance(value, list) else [value]:
            if not isinstance(mapping, dict):
                raise _bad(node, "expected a mapping or a list of mappings to merge (<<)")
            self._add(len(mapping), node)
            yield from mapping.items()


def _scalar(node: yaml.ScalarNode, kind: str) -> object:
    text: str = node.value
    try:
        match kind:
            case "null":
                return None
            case "bool":
                return _BOOLEANS[text.lower()]
            case "int":
                return text if ":" in text else _whole_number(text)
            case "float":
                return text if ":" in text else _real_number(text)
    except (KeyError, ValueError):
        raise _bad(node, f"found {shown(text)}; expected what the tag !!{kind} says") from None
    if kind in _TEXT:
        return text
    raise _unknown_tag(node, kind)


def _whole_number(text: str) -> int | str:
    """The number as YAML 1.1 writes it; the text itself if it is too long for one."""
    if len(text) > _MOST_DIGITS:
        return text
    sign, digits = (text[0], text[1:]) if text[:1] in {"+", "-"} else ("", text)
    digits = digits.replace("_", "").lower()
    for syntax, base in _BASES:
        if syntax.fullmatch(digits):
            return int(sign + digits.removeprefix("0x").removeprefix("0b"), base)
    return int(sign + digits)


def _real_number(text: str) -> float | str:
    plain = text.replace("_", "").lower()
    if len(text) > _MOST_DIGITS or plain.endswith((".inf", ".nan")):
        return text
    return float(plain)


def _unique(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise MalformedDocument(
                f"found the key {shown(key)} twice in one object; expected it once"
            )
        found[key] = value
    return found


def _unknown_tag(node: yaml.Node, kind: str) -> yaml.MarkedYAMLError:
    tag = node.tag if kind == node.tag else f"!!{kind}"
    return _bad(
        node, f"found the tag {shown(tag)}; expected plain text, numbers, lists and mappings"
    )


def _bad(where: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    mark = cast("yaml.error.Mark", where.start_mark)  # not libyaml's, which is not used
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _in_one_line(problem: yaml.MarkedYAMLError) -> str:
    mark = problem.problem_mark or problem.context_mark
    place = f"line {mark.line + 1}, column {mark.column + 1}: " if mark else ""
    said = ", ".join(part for part in (problem.context, problem.problem) if part)
    return f"is not YAML: {place}{textwrap.shorten(said, _MOST_WORDS, placeholder=' …')}"


def _place(text: str, position: int) -> str:
    line = text.count("\n", 0, position)
    return f"line {line + 1}, column {position - text.rfind(chr(10), 0, position)}"
