"""What `numa-trio topology` shows of three machines, to the letter.

After a change that is meant, `PYTHONPATH=tests python tests/commands/test_topology_golden.py`
writes the files of tests/fixtures/topology anew; look at the difference before you commit it.
"""

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path

import pytest

from drawn_machines import drawn, seen_of
from numa_trio.commands.topology_document import print_json, print_yaml
from numa_trio.commands.topology_svg import print_svg

FOLDER = Path(__file__).parents[1] / "fixtures/topology"


def text(machine: str, columns: int) -> str:
    return drawn(seen_of(machine), columns)


def printed(machine: str, show: Callable[..., None]) -> str:
    with redirect_stdout(io.StringIO()) as output:
        show(seen_of(machine))
    return output.getvalue()


GOLDEN: dict[str, Callable[[], str]] = {
    "two-node-server-80.txt": lambda: text("two-node-server", 80),
    "two-node-server-120.txt": lambda: text("two-node-server", 120),
    "sparse-80.txt": lambda: text("sparse", 80),
    "sparse-200.txt": lambda: text("sparse", 200),
    "odd-80.txt": lambda: text("odd", 80),
    "odd-40.txt": lambda: text("odd", 40),
    "sparse.svg": lambda: printed("sparse", print_svg),
    "odd.svg": lambda: printed("odd", print_svg),
    "odd.json": lambda: printed("odd", print_json),
    "odd.yaml": lambda: printed("odd", print_yaml),
}


@pytest.mark.parametrize("name", GOLDEN)
def test_shows_what_it_showed(name: str) -> None:
    """Memory and all else are those of the fixture; no path of the test is in it."""
    shown = GOLDEN[name]()
    assert "/tmp" not in shown
    assert shown == (FOLDER / name).read_text()


def test_no_file_is_left_over() -> None:
    """Each file is one that is compared."""
    assert sorted(path.name for path in FOLDER.iterdir()) == sorted(GOLDEN)


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    for name, show in GOLDEN.items():
        (FOLDER / name).write_text(show())
