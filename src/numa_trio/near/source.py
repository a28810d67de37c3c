"""Where an operator names things: a setting, a file, or both."""

from pathlib import Path

from attrs import define, field

from numa_trio.near.names import Entry, NearNames, entries_in, near_names
from numa_trio.plain_text import quoted
from numa_trio.topology.files import read_regular

VARIABLE = "NUMA_NEAR"
FILE_VARIABLE = "NUMA_NEAR_FILE"

_LARGEST = 64 << 10  # bytes; to read that much YAML takes half a second and some 10 MiB
_EXPECTED = "expected a mapping of names to targets, as in 'data: /var/lib/data'"


@define(eq=False)
class NearSource:
    """The names in a setting's `text` and in a YAML `file`, which may change.

    A file that can no longer be read, or no longer be understood, leaves what it said before.
    """

    text: str
    file: Path | None = None
    _content: bytes | None = field(init=False, default=None)
    _in_file: tuple[Entry, ...] = field(init=False, default=())
    _problems: tuple[str, ...] = field(init=False, default=())
    _names: NearNames | None = field(init=False, default=None)

    def names(self) -> NearNames:
        """The names as they are now. Never raises."""
        before = self._in_file, self._problems
        self._read()
        if self._names is None or before != (self._in_file, self._problems):
            entries, problems = entries_in(self.text, VARIABLE)
            self._names = near_names([*entries, *self._in_file], [*problems, *self._problems])
        return self._names

    def _read(self) -> None:
        if self.file is None:
            return
        try:
            content = read_regular(self.file, _LARGEST + 1)
        except OSError as problem:
            self._content = None
            self._problems = (f"{self._source}: cannot be read: {problem.strerror or problem}",)
            return
        if content != self._content:
            self._content = content
            self._understand(content)

    def _understand(self, content: bytes) -> None:
        # Only here: it takes the memory of a YAML parser.
        from numa_trio.workloads.documents import MalformedDocument, parse_documents

        if len(content) > _LARGEST:
            self._problems = (f"{self._source}: expected at most {_LARGEST} bytes",)
            return
        try:
            documents = [each for each in parse_documents(content) if each is not None]
        except MalformedDocument as problem:
            self._problems = (f"{self._source}: {problem}",)
            return
        if len(documents) > 1 or not all(isinstance(each, dict) for each in documents):
            self._problems = (f"{self._source}: {_EXPECTED}",)
            return
        self._in_file, self._problems = _entries(self._source, dict(*documents))

    @property
    def _source(self) -> str:
        return f"{FILE_VARIABLE}={self.file}"


def _entries(source: str, mapping: dict[str, object]) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    good = {name: target for name, target in mapping.items() if isinstance(target, str)}
    return (
        tuple(Entry(source, name, target) for name, target in good.items()),
        tuple(f"{source}: {quoted(name)}: {_EXPECTED}" for name in mapping if name not in good),
    )
