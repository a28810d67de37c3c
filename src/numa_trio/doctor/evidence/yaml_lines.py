"""A YAML file of settings: its values with the line of each, and the same file with few of them.

Lines are those of the keys at the top, and of the elements of lists below them: enough to find a
setting in an editor, and all that a capture can keep without keeping comments.
"""

import json
from collections.abc import Callable, Mapping

import yaml
from attrs import field, frozen

from numa_trio.doctor.evidence.seen import Missing
from numa_trio.workloads.documents import MalformedDocument, parse_documents


class LeftOut:
    """A value or an element that a capture does not keep."""


LEFT_OUT = LeftOut()


@frozen
class Settings:
    """The mapping at the top of a file. `lines` are from 1 on; of a list, those of its elements."""

    values: Mapping[str, object]
    lines: Mapping[str, int] = field(factory=dict)
    element_lines: Mapping[str, tuple[int, ...]] = field(factory=dict)


def parse_settings(content: bytes) -> Settings | Missing:
    """The settings of a file; none of an empty one. Missing where it is no mapping."""
    try:
        documents = parse_documents(content)
    except MalformedDocument as problem:
        return Missing(str(problem))
    value = documents[0] if documents else None
    if value is None:
        return Settings({})
    if not isinstance(value, dict):
        return Missing("line 1, column 1: expected a mapping of settings")
    lines, elements = _lines(content)
    return Settings(value, lines, elements) if lines.keys() == value.keys() else Settings(value)


def _lines(content: bytes) -> tuple[dict[str, int], dict[str, tuple[int, ...]]]:
    """The lines of keys and elements; none where keys share a line, as in JSON."""
    try:
        # What parse_documents has read is within bounds.
        nodes = yaml.compose_all(content.decode("utf-8-sig"), yaml.SafeLoader)
        root = next(iter(nodes), None)
    except (yaml.YAMLError, ValueError, OverflowError):
        return {}, {}
    if not isinstance(root, yaml.MappingNode) or root.flow_style:
        return {}, {}
    lines: dict[str, int] = {}
    elements: dict[str, tuple[int, ...]] = {}
    for key, value in root.value:
        lines[key.value] = key.start_mark.line + 1
        if isinstance(value, yaml.SequenceNode):
            elements[key.value] = tuple(each.start_mark.line + 1 for each in value.value)
    taken = [*lines.values(), *(line for each in elements.values() for line in each)]
    return (lines, elements) if len(set(taken)) == len(taken) else ({}, {})


def only(settings: Settings, keep: Callable[[str, object], object]) -> bytes:
    """The file with what `keep` makes of each value, each at its line, but for `LEFT_OUT`."""
    made = {key: keep(key, value) for key, value in settings.values.items()}
    kept = {key: value for key, value in made.items() if value is not LEFT_OUT}
    if not kept.keys() <= settings.lines.keys():
        return json.dumps({key: _whole(value) for key, value in kept.items()}).encode() + b"\n"
    text: dict[int, str] = {}
    for key, value in kept.items():
        places = settings.element_lines.get(key, ())
        if isinstance(value, list) and value and len(places) == len(value):
            text[settings.lines[key]] = f"{_written(key)}:"
            text |= {
                line: f"- {_written(each)}"
                for line, each in zip(places, value, strict=True)
                if each is not LEFT_OUT
            }
        else:
            text[settings.lines[key]] = f"{_written(key)}: {_written(_whole(value))}"
    last = max(text, default=0)
    return "".join(f"{text.get(line, '')}\n" for line in range(1, last + 1)).encode()


def _written(value: object) -> str:
    """The value as JSON that is YAML too, where a character has one escape, not a pair of them."""
    text = json.dumps(value, ensure_ascii=False)
    return "".join(each if each < "\x7f" else f"\\U{ord(each):08x}" for each in text)


def _whole(value: object) -> object:
    """The value without elements that are left out."""
    return [each for each in value if each is not LEFT_OUT] if isinstance(value, list) else value
