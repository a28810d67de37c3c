"""The text of YAML and JSON files as plain values, within bounds, whoever wrote them.

Read as kubectl reads them (sigs.k8s.io/yaml): a key may be given once, keys are text, dates and
numbers to the base of 60 are text. Merge keys (`<<`) are followed.
"""

import json
import textwrap
from collections.abc import Iterator, Sequence
from typing import cast

import yaml
from attrs import frozen

from numa_trio.workloads.quantity import shown
from numa_trio.workloads.scalars import scalar, whole_number

MOST_BYTES = 1 << 20  # of a file; the API server takes objects of up to 1.5 MiB
_MOST_LEVELS = 64  # of lists and mappings in one another; a pod needs some ten
_MOST_VALUES = 200_000  # with those that aliases repeat; more than a file of text holds
_MOST_WORDS = 200  # characters of what the parser says, as it may quote the file

_TAG = "tag:yaml.org,2002:"


class MalformedDocument(ValueError):
    """The text cannot be read: what is wrong, in one line, and where.

    `problem` is the message without the place, `place` the line and column from 1 on, where known.
    `own_tags` is whether only tags that another program knows are in the way.
    """

    def __init__(
        self,
        kind: str,
        problem: str,
        place: tuple[int, int] | None = None,
        *,
        own_tags: bool = False,
    ) -> None:
        where = "line {}, column {}: ".format(*place) if place else ""
        super().__init__(f"{kind}{where}{problem}")
        self.problem = f"{kind}{problem}"
        self.place = place
        self.own_tags = own_tags


@frozen
class Document:
    """The value of a document, None for an empty one, and what YAML's parser made of it.

    The node is None where the text is JSON: `json_node` makes one.
    """

    value: object
    node: yaml.Node | None


def parse_documents(content: bytes) -> list[object]:
    """The value of each document; None for an empty one. Raises `MalformedDocument`.

    Values are None, bool, int, float, str, lists, and mappings with keys of text. Parts that the
    file names by aliases are shared.
    """
    return [document.value for document in documents_of(text_of(content))]


def text_of(content: bytes) -> str:
    """The text of a file, without its byte order mark; raises `MalformedDocument`."""
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as problem:
        expected = f"byte {problem.start} is not UTF-8; expected YAML or JSON in UTF-8"
        raise MalformedDocument("is not text: ", expected) from None


def documents_of(text: str) -> list[Document]:
    """The documents of a text; raises `MalformedDocument`."""
    # YAML has nearly all of JSON, but for one: tabs that indent.
    if text.lstrip().startswith(("{", "[")):
        try:
            value = json.loads(text, object_pairs_hook=_unique, parse_int=whole_number)
            return [Document(value, None)]
        except MalformedDocument as problem:
            raise MalformedDocument("", problem.problem, _repeated_key(text)) from None
        except (json.JSONDecodeError, RecursionError):
            pass  # a mapping or list in YAML's own way
    try:
        return list(_Reading(text).documents())
    except yaml.MarkedYAMLError as problem:
        raise _malformed(problem) from None
    except yaml.reader.ReaderError as problem:
        raise MalformedDocument(
            "is not YAML: ",
            f"character U+{problem.character:04X}: {problem.reason}",
            _place(text, problem.position),
        ) from None
    except (ValueError, OverflowError):
        raise MalformedDocument(
            "is not YAML: ",
            r"found an escape (\U) that is not a character; expected at most \U0010FFFF",
        ) from None


def json_node(text: str) -> yaml.Node | None:
    """A node for a text that is JSON, for its marks; None where YAML has other limits than JSON."""
    try:
        return yaml.compose(_without_tabs(text), _Bounded)
    except (yaml.YAMLError, ValueError, OverflowError):
        return None


def _without_tabs(text: str) -> str:
    """JSON whose marks in YAML are those of the text: a tab can only be between its tokens."""
    return text.replace("\t", " ")


def _repeated_key(text: str) -> tuple[int, int] | None:
    """The line and column of the first key in a JSON text that is there twice."""
    try:
        list(_Reading(_without_tabs(text)).documents())
    except yaml.MarkedYAMLError as problem:
        return _malformed(problem).place
    except (yaml.YAMLError, ValueError, OverflowError):
        pass
    return None


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

    def documents(self) -> Iterator[Document]:
        for node in yaml.compose_all(self._text, _Bounded):
            self._built.clear()
            yield Document(self._value(node), node)

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
                try:
                    return scalar(node.value, kind)
                except ValueError:
                    found = f"found {shown(node.value)}; expected what the tag !!{kind} says"
                    raise _bad(node, found) from None
                except LookupError:
                    pass
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


def _unique(pairs: Sequence[tuple[str, object]]) -> dict[str, object]:
    found: dict[str, object] = {}
    for key, value in pairs:
        if key in found:
            raise MalformedDocument(
                "", f"found the key {shown(key)} twice in one object; expected it once"
            )
        found[key] = value
    return found


class _UnknownTag(yaml.MarkedYAMLError):
    """A tag that only another program knows, as `!Ref`."""


def _unknown_tag(node: yaml.Node, kind: str) -> yaml.MarkedYAMLError:
    tag = node.tag if kind == node.tag else f"!!{kind}"
    known = _bad(
        node, f"found the tag {shown(tag)}; expected plain text, numbers, lists and mappings"
    )
    return _UnknownTag(problem=known.problem, problem_mark=known.problem_mark)


def _bad(where: yaml.Node, problem: str) -> yaml.MarkedYAMLError:
    mark = cast("yaml.error.Mark", where.start_mark)  # not libyaml's, which is not used
    return yaml.MarkedYAMLError(problem=problem, problem_mark=mark)


def _malformed(problem: yaml.MarkedYAMLError) -> MalformedDocument:
    mark = problem.problem_mark or problem.context_mark
    said = ", ".join(part for part in (problem.context, problem.problem) if part)
    return MalformedDocument(
        "is not YAML: ",
        textwrap.shorten(said, _MOST_WORDS, placeholder=" …"),
        (mark.line + 1, mark.column + 1) if mark else None,
        own_tags=isinstance(problem, _UnknownTag),
    )


def _place(text: str, position: int) -> tuple[int, int]:
    line = text.count("\n", 0, position)
    return line + 1, position - text.rfind("\n", 0, position)
