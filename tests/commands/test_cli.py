"""The command line itself."""

import subprocess
import sys

import pytest

from numa_trio import __version__
from numa_trio.cli import main
from numa_trio.settings import known_variables


def test_says_its_version(capsys: pytest.CaptureFixture[str]) -> None:
    """`--version`, from the one place where it is written."""
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert capsys.readouterr().out == f"numa-trio {__version__}\n"


@pytest.mark.parametrize("words", [["--nonsense"], ["nonsense"], ["topology", "extra"]])
def test_bad_usage_is_status_2(words: list[str]) -> None:
    """What is not understood is said, with the usage."""
    with pytest.raises(SystemExit) as ended:
        main(words)
    assert ended.value.code == 2


def test_without_a_command_the_agent_runs_and_refuses_bad_configuration() -> None:
    """All problems in one message, and status 2."""
    command = [sys.executable, "-m", "numa_trio"]
    bad = {"NUMA_CAPACITY": "0", "NUMA_HTTP_ADDR": "nowhere"}
    ended = subprocess.run(command, env=bad, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "NUMA_CAPACITY='0'" in ended.stderr
    assert "NUMA_HTTP_ADDR='nowhere'" in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_sysfs_root_that_does_not_exist_is_bad_configuration() -> None:
    """Found when it is read, and refused like the rest."""
    command = [sys.executable, "-m", "numa_trio", "run"]
    bad = {"NUMA_SYSFS_ROOT": "/nowhere", "NUMA_HTTP_ADDR": ""}
    ended = subprocess.run(command, env=bad, capture_output=True, text=True, check=False)
    assert ended.returncode == 2
    assert "/nowhere" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    "words", [["topology"], ["topology", "--output", "json"], ["simulate"], ["doctor"]]
)
def test_a_reader_that_has_seen_enough_is_no_error_to_tell_of(words: list[str]) -> None:
    """`numa-trio … | head`: status 1, and no traceback."""
    command = [sys.executable, "-m", "numa_trio", *words]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        assert child.stdout is not None
        assert child.stderr is not None
        child.stdout.close()
        said = child.stderr.read()
        assert child.wait(timeout=60) == 1
    assert b"Traceback" not in said


@pytest.mark.parametrize("columns", ["60", "200"])
def test_help_of_run_has_each_variable_with_its_default(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], columns: str
) -> None:
    """Within the terminal's width, however long the names, and no word is broken."""
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(SystemExit):
        main(["run", "--help"])
    output = capsys.readouterr().out
    assert "\n  NUMA_CAPACITY (default: 100)\n" in output
    assert "\n  NUMA_POD_RESOURCES_INTERVAL (default: 10)\n" in output
    assert max(map(len, output.splitlines())) <= int(columns)
    words = set(output.split())
    for meaning in known_variables().values():
        assert set(meaning.split()) <= words
