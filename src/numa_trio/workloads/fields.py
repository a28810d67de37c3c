"""YAML and JSON files that people write: each value with its place, for error messages."""

import re
import sys
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

from attrs import frozen

from numa_trio.workloads.documents import MOST_BYTES, MalformedDocument, parse_documents
from numa_trio.workloads.quantity import parse_quantity, shown

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

STANDARD_INPUT = Path("-")

_PLAIN = re.compile(r"[-A-Za-z0-9_./]{1,80}")


Steps = tuple[str | int, ...]


class BadFile(Exception):
    """A file cannot be used: the message names it, the field, what is there, what is allowed.

    Where a field is the reason, `problem` is the message without its place, and `steps` are the
    keys and indexes that lead to it.
    """

    def __init__(self, message: str, problem: str = "", steps: Steps = ()) -> None:
        super().__init__(message)
        self.problem = problem or message
        self.steps = steps


@frozen
class Field:
    """A value, which document it is in, and its path there: as text, and step by step."""

    document: str
    value: object
    path: str = ""
    steps: Steps = ()

    @property
    def where(self) -> str:
        """The place for a message."""
        return f"{self.document}: {self.path}" if self.path else self.document

    def bad(self, expected: str) -> BadFile:
        """An error that says what is here and what was expected."""
        return self.refused(f"found {_described(self.value)}; expected {expected}")

    def refused(self, problem: str) -> BadFile:
        """An error about what is here."""
        return BadFile(f"{self.where}: {problem}", problem, self.steps)

    def child(self, key: str) -> "Field":
        """What stands under a key; its value is None if nothing does."""
        if not isinstance(self.value, dict):
            raise self.bad("a mapping")
        return self._entry(key, self.value.get(key))

    def below(self, *steps: str | int) -> "Field":
        """What these steps lead to; its value is None if nothing is there, whatever is here."""
        match steps, self.value:
            case [], _:
                return self
            case [str(key), *_], _:
                inner = self._entry(
                    key, self.value.get(key) if isinstance(self.value, dict) else None
                )
            case [int(number), *_], list(elements) if 0 <= number < len(elements):
                inner = self._element(number, elements[number])
            case [number, *_], _:
                inner = self._element(int(number), None)
        return inner.below(*steps[1:])

    def items(self) -> Iterator[tuple[str, "Field"]]:
        """The entries of the mapping here; none if it is missing."""
        if self.value is None:
            return
        if not isinstance(self.value, dict):
            raise self.bad("a mapping")
        for key, value in self.value.items():
            yield key, self._entry(key, value)

    def elements(self) -> Iterator["Field"]:
        """The elements of the list here; none if it is missing."""
        if self.value is None:
            return
        if not isinstance(self.value, list):
            raise self.bad("a list")
        for number, value in enumerate(self.value):
            yield self._element(number, value)

    def only(self, *keys: str) -> None:
        """Refuse a mapping with other keys than these."""
        for key, value in self.items():
            if key not in keys:
                raise value.refused(f"unknown; expected {', '.join(keys)}")

    def text(self) -> str | None:
        """The text here; None if it is missing."""
        if self.value is not None and not isinstance(self.value, str):
            raise self.bad("text (in quotes if it looks like a number)")
        return self.value

    def name(self, syntax: re.Pattern[str]) -> str:
        """The name here, which must be of the syntax."""
        text = self.text()
        if text is None or not syntax.fullmatch(text):
            raise self.bad("a name of lower-case letters, digits and '-'")
        return text

    def whole_number(self, least: int, most: int) -> int:
        """The number here, which must be in the range."""
        number = self.value
        if not isinstance(number, int) or isinstance(number, bool) or not least <= number <= most:
            raise self.bad(f"a whole number from {least} to {most}")
        return number

    def quantity(self) -> Fraction:
        """The quantity here, in the words of Kubernetes."""
        if not isinstance(self.value, str | int | float):
            raise self.bad("a quantity such as 2, 500m or 1Gi")
        try:
            return parse_quantity(self.value)
        except ValueError as problem:
            raise self.refused(str(problem)) from None

    def _entry(self, key: str, value: object) -> "Field":
        path = f"{self.path}.{plain(key)}".removeprefix(".")
        return Field(self.document, value, path, (*self.steps, key))

    def _element(self, number: int, value: object) -> "Field":
        return Field(self.document, value, f"{self.path}[{number}]", (*self.steps, number))


def plain(name: str) -> str:
    """A name of the file's for a message: as it is where it is plain, quoted where it is odd."""
    return name if _PLAIN.fullmatch(name) else shown(name)


def _described(value: object) -> str:
    """A value for a message, in a few words; containers by their kind only."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping" if value else "an empty mapping"
        case list():
            return "a list" if value else "an empty list"
    return shown(value)


def read_documents(path: "Path | Traversable") -> Iterator[Field]:
    """The documents of a file, or of standard input, that are not empty; raises `BadFile`."""
    name = "standard input" if path == STANDARD_INPUT else str(path)
    try:
        content = _content(path)
    except OSError as problem:
        raise BadFile(f"{name}: cannot be read: {problem.strerror}") from problem
    if len(content) > MOST_BYTES:
        raise BadFile(f"{name}: is too large; expected at most {MOST_BYTES >> 20} MiB")
    try:
        values = parse_documents(content)
    except MalformedDocument as problem:
        raise BadFile(f"{name}: {problem}") from None
    for number, value in enumerate(values, start=1):
        if value is not None:
            yield Field(f"{name}: document {number}" if len(values) > 1 else name, value)


def _content(path: "Path | Traversable") -> bytes:
    """The bytes of a file, up to one more than it may have."""
    if path == STANDARD_INPUT:
        return sys.stdin.buffer.read(MOST_BYTES + 1)
    with path.open("rb") as file:
        return file.read(MOST_BYTES + 1)
