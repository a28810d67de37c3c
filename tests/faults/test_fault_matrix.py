"""docs/reliability.md and the tests agree about which faults there are, and about the times."""

import ast
from functools import cache
from pathlib import Path

from fault_matrix import MATRIX, fault_matrix

TESTS = Path(__file__).resolve().parents[1]


@cache
def find_tests(folder: Path) -> dict[str, ast.FunctionDef | ast.AsyncFunctionDef]:
    return {
        node.name: node
        for path in folder.rglob("test_*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        and node.name.startswith("test_")
    }


def takes_its_time_from_the_matrix(test: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    """Whether it asks for the fixture `back`, and uses it."""
    asks = "back" in {argument.arg for argument in test.args.args}
    return asks and any(isinstance(one, ast.Name) and one.id == "back" for one in ast.walk(test))


def test_every_row_is_a_test_and_every_fault_test_a_row() -> None:
    """No promise without its proof, and no proof that the table hides."""
    rows = fault_matrix()
    assert len(rows) == MATRIX.read_text().count("| `test_")
    assert rows.keys() <= find_tests(TESTS).keys()
    here = find_tests(Path(__file__).parent).keys() - of_this_file()
    assert here <= rows.keys()


def test_every_time_in_the_matrix_is_the_one_that_its_test_allows() -> None:
    """A row with a time has a test that reads it from there, and no other test does."""
    tests = find_tests(TESTS)
    promised = {name for name, row in fault_matrix().items() if row.back is not None}
    assert promised == {
        name for name, test in tests.items() if takes_its_time_from_the_matrix(test)
    }


def of_this_file() -> set[str]:
    return {name for name in globals() if name.startswith("test_")}
