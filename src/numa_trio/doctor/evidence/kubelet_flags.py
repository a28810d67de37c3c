"""Kubelet's settings as flags: on a command line, in `kubelet-arg` of RKE2, in files of arguments.

A flag that is given replaces what kubelet's file says; of maps, what several flags give is put
together (k8s.io/component-base/cli/flag).
"""

import re
from collections.abc import Iterable, Iterator

from attrs import frozen

from numa_trio.doctor.evidence.seen import Place
from numa_trio.doctor.evidence.setting_forms import BY_FLAG, Form, Known


@frozen
class Flag:
    """A flag that matters, its text, and where it is given."""

    known: Known
    text: str
    place: Place

    @property
    def word(self) -> str:
        """The flag as on a command line."""
        return f"--{self.known.flag}={self.text}"


def parse_flags(words: Iterable[tuple[str, Place]]) -> Iterator[Flag]:
    """The flags that matter among the words, in order; a value may be a word of its own."""
    waiting: Known | None = None
    for word, place in words:
        if waiting is not None and not word.startswith("--"):
            yield Flag(waiting, word, place)
            waiting = None
            continue
        waiting = None
        name, equals, text = word.removeprefix("-").removeprefix("-").partition("=")
        known = BY_FLAG.get(name.replace("_", "-"))
        if known is None or not word.startswith("-"):
            continue
        if equals:
            yield Flag(known, unquoted(text), place)
        else:
            waiting = known


def with_dashes(argument: str) -> str:
    """The word for a command line; an argument in `kubelet-arg` may have no dashes."""
    return argument if argument.startswith("-") else f"--{argument}"


def unquoted(text: str) -> str:
    """The text without the quotes around it."""
    if len(text) >= 2 and text[0] == text[-1] and text[0] in "'\"":
        return text[1:-1]
    return text


def value_of(flags: Iterable[Flag]) -> object:
    """What flags of one name give together, in the form of kubelet's file. Raises `ValueError`."""
    texts = list(flags)
    form = texts[0].known.form
    match form:
        case Form.MAP:
            return dict(_pair(part, "=") for each in texts for part in _parts(each.text, ","))
        case Form.THRESHOLDS:
            return dict(_pair(part, "<") for each in texts for part in _parts(each.text, ","))
        case Form.MEMORY:
            return [_reserved(part) for each in texts for part in _parts(each.text, ";")]
    return texts[-1].text


def _parts(text: str, separator: str) -> list[str]:
    return [part.strip() for part in text.split(separator) if part.strip()]


def _pair(text: str, separator: str) -> tuple[str, str]:
    key, found, value = text.partition(separator)
    if not found:
        raise ValueError(f"found {text!r}; expected name{separator}value")
    return key.strip(), value.strip()


def _reserved(text: str) -> dict[str, object]:
    node, colon, limits = text.partition(":")
    if not colon or not re.fullmatch(r"[0-9]{1,5}", node.strip()):
        raise ValueError(f"found {text!r}; expected node:memory=size, as in 0:memory=512Mi")
    return {
        "numaNode": int(node),
        "limits": dict(_pair(part, "=") for part in _parts(limits, ",")),
    }
