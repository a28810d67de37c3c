"""docs/reliability.md and the tests agree about which faults there are."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1]
MATRIX = TESTS.parent / "docs/reliability.md"


def names_of_tests(folder: Path) -> set[str]:
    return {
        node.name
        for path in folder.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    }


def test_every_row_is_a_test_and_every_fault_test_a_row() -> None:
    """No promise without its proof, and no proof that the table hides."""
    rows = set(re.findall(r"\| `(test_\w+)` \|$", MATRIX.read_text(), re.MULTILINE))
    assert rows <= names_of_tests(TESTS)
    assert names_of_tests(TESTS / "faults") - rows == {
        "test_every_row_is_a_test_and_every_fault_test_a_row"
    }
