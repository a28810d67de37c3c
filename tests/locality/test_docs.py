"""docs/near.md and the tests agree about which kinds of target there are."""

import ast
import re
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
PAGE = (REPOSITORY / "docs/near.md").read_text()


def test_every_row_is_a_test_and_every_test_a_row() -> None:
    """No promise without its proof, and no proof that the table hides."""
    rows = re.findall(r"^\|[^|]+\|[^|]+\|[^|]*\| `(test_\w+)` \|$", PAGE, flags=re.MULTILINE)
    assert len(rows) == PAGE.count("| `test_")
    assert sorted(rows) == sorted(
        each.name
        for path in Path(__file__).parent.glob("test_near_*.py")
        for each in ast.parse(path.read_text()).body
        if isinstance(each, ast.FunctionDef) and each.name.startswith("test_")
    )
