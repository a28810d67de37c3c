"""The fault matrix of docs/reliability.md, as data for the tests that it names."""

import re
from pathlib import Path

from attrs import frozen

MATRIX = Path(__file__).resolve().parents[1] / "docs/reliability.md"
_ROW = re.compile(
    r"^\|(?P<fault>[^|]+)\|[^|]+\|(?P<back>[^|]*)\| `(?P<test>test_\w+)` \|$", re.MULTILINE
)


@frozen
class Row:
    """A fault and its test. `back` is in seconds; None if nothing has to come back."""

    fault: str
    back: float | None


def fault_matrix() -> dict[str, Row]:
    """The rows by the names of their tests."""
    return {
        row["test"]: Row(row["fault"].strip(), float(row["back"]) if row["back"].strip() else None)
        for row in _ROW.finditer(MATRIX.read_text())
    }
