"""Which CPUs are offline."""

from pathlib import Path

import pytest

from numa_trio.topology.offline import read_offline_cpus
from sysfs_tree import plant


def offline(root: Path, **files: str) -> frozenset[int] | None:
    return read_offline_cpus(
        plant(root, {f"devices/system/cpu/{name}": text for name, text in files.items()})
    )


def test_those_that_are_there_and_not_online(tmp_path: Path) -> None:
    """Numbers of CPUs that the machine has not got are none, though the kernel lists them."""
    assert offline(tmp_path, present="0-7", online="0-2,4-7", offline="3,8-191") == {3}


def test_none_where_all_are_online(tmp_path: Path) -> None:
    """That is not the same as unknown."""
    assert offline(tmp_path, present="0-7", online="0-7") == frozenset()


@pytest.mark.parametrize(
    "files", [{"online": "0-1"}, {"present": "0-1"}, {"present": "0-", "online": "0"}]
)
def test_unknown_where_a_file_is_missing_or_broken(tmp_path: Path, files: dict[str, str]) -> None:
    """Nothing is guessed."""
    assert offline(tmp_path, **files) is None
