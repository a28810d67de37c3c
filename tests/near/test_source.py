"""Names in a setting and in a file that may change."""

from pathlib import Path

import pytest

from numa_trio.near.names import NearNames
from numa_trio.near.source import NearSource


def shown(names: NearNames) -> dict[str, str]:
    return {each.name: each.target.text for each in names.names}


def test_setting_and_file_together(tmp_path: Path) -> None:
    """The file may have targets with commas."""
    file = tmp_path / "near.yaml"
    file.write_text("fabric: net:eth2\nodd: /srv/a,b\ngpu: 3b:00.0\n")
    names = NearSource("data=/data", file).names()
    assert shown(names) == {
        "data": "/data",
        "fabric": "net:eth2",
        "odd": "/srv/a,b",
        "gpu": "3b:00.0",
    }
    assert not names.problems


def test_file_that_changes_is_read_again(tmp_path: Path) -> None:
    """And what has not changed is the same as before."""
    file = tmp_path / "near.yaml"
    file.write_text("data: /a")
    source = NearSource("", file)
    first = source.names()
    assert source.names() is first
    file.write_text("data: /b")
    assert shown(source.names()) == {"data": "/b"}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("data: [", "is not YAML"),
        ("- data", "expected a mapping of names to targets"),
        ("data: /a\ndata: /b", "'data' for the second time"),
        ("a: /a\n---\nb: /b", "expected a mapping"),
        ("x" * (2**16 + 1), "expected at most 65536 bytes"),
    ],
)
def test_file_that_cannot_be_understood_leaves_what_it_said(
    tmp_path: Path, content: str, problem: str
) -> None:
    """The problem names the setting and the file; the names are those from before."""
    file = tmp_path / "near.yaml"
    file.write_text("data: /a")
    source = NearSource("other=/b", file)
    assert shown(source.names()) == {"other": "/b", "data": "/a"}
    file.write_text(content)
    names = source.names()
    assert shown(names) == {"other": "/b", "data": "/a"}
    (said,) = names.problems
    assert said.startswith(f"NUMA_NEAR_FILE={file}: ")
    assert problem in said
    file.write_text("data: /c")
    assert shown(source.names())["data"] == "/c"
    assert not source.names().problems


def test_file_that_comes_late_or_goes(tmp_path: Path) -> None:
    """It is a problem while it is not there, and the names in the setting count."""
    file = tmp_path / "near.yaml"
    source = NearSource("other=/b", file)
    assert shown(source.names()) == {"other": "/b"}
    assert source.names().problems == (
        f"NUMA_NEAR_FILE={file}: cannot be read: No such file or directory",
    )
    file.write_text("data: /a")
    assert shown(source.names()) == {"other": "/b", "data": "/a"}
    file.unlink()
    assert shown(source.names()) == {"other": "/b", "data": "/a"}
    assert source.names().problems
    file.write_text("data: /a")
    assert not source.names().problems


def test_target_that_is_no_text_costs_only_itself(tmp_path: Path) -> None:
    """A number or a list is named by its name."""
    file = tmp_path / "near.yaml"
    file.write_text("data: /a\nfabric: [eth0, eth1]\n")
    names = NearSource("", file).names()
    assert shown(names) == {"data": "/a"}
    (said,) = names.problems
    assert "'fabric': expected a mapping of names to targets" in said


def test_empty_file_has_no_names(tmp_path: Path) -> None:
    """It is as good as none."""
    file = tmp_path / "near.yaml"
    file.write_text("# nothing yet\n")
    assert NearSource("", file).names() == NearNames()
