"""YAML and JSON files that people write: each value with its place, for error messages."""

import json
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import yaml
from attrs import frozen

from numa_trio.workloads.quantity import parse_quantity


class BadFile(Exception):
    """A file cannot be used: the message names it, the field, what is there, what is allowed."""


@frozen
class Field:
    """A value, which document it is in, and its path there."""

    document: str
    value: object
    path: str = ""

    @property
    def where(self) -> str:
        """The place for a message."""
        return f"{self.document}: {self.path}" if self.path else self.document

    def bad(self, expected: str) -> BadFile:
        """An error that says what is here and what was expected."""
        return BadFile(f"{self.where}: found {_described(self.value)}; expected {expected}")

    def child(self, key: str) -> "Field":
        """What stands under a key; its value is None if nothing does."""
        if not isinstance(self.value, dict):
            raise self.bad("a mapping")
        return self._inner(f".{key}", self.value.get(key))

    def items(self) -> Iterator[tuple[str, "Field"]]:
        """The entries of the mapping here; none if it is missing."""
        if self.value is None:
            return
        if not isinstance(self.value, dict):
            raise self.bad("a mapping")
        for key, value in self.value.items():
            yield str(key), self._inner(f".{key}", value)

    def elements(self) -> Iterator["Field"]:
        """The elements of the list here; none if it is missing."""
        if self.value is None:
            return
        if not isinstance(self.value, list):
            raise self.bad("a list")
        for number, value in enumerate(self.value):
            yield self._inner(f"[{number}]", value)

    def only(self, *keys: str) -> None:
        """Refuse a mapping with other keys than these."""
        for key, value in self.items():
            if key not in keys:
                raise BadFile(f"{value.where}: unknown; expected {', '.join(keys)}")

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
            raise BadFile(f"{self.where}: {problem}") from None

    def _inner(self, step: str, value: object) -> "Field":
        return Field(self.document, value, (self.path + step).removeprefix("."))


def _described(value: object) -> str:
    """A value for a message: containers by their kind only, as aliases can make them endless."""
    match value:
        case None:
            return "nothing"
        case dict():
            return "a mapping" if value else "an empty mapping"
        case list() | tuple() | set():
            return "a list" if value else "an empty list"
    return repr(value)


def read_documents(path: Path) -> Iterator[Field]:
    """The documents of a file that are not empty; raises `BadFile`."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        raise BadFile(f"{path}: cannot be read as text: {problem}") from problem
    try:
        values = _parsed(text)
    except (yaml.YAMLError, RecursionError, ValueError) as problem:
        raise BadFile(f"{path}: is not YAML: {problem}") from problem
    for number, value in enumerate(values, start=1):
        if value is not None:
            yield Field(f"{path}: document {number}" if len(values) > 1 else str(path), value)


def _parsed(text: str) -> list[object]:
    """The values of all documents. YAML has nearly all of JSON, but for one: tabs that indent."""
    if text.lstrip().startswith(("{", "[")):
        try:
            return [json.loads(text)]
        except (ValueError, RecursionError):
            pass  # a mapping or list in YAML's own way
    return list(yaml.safe_load_all(text))
