"""Standard input, output and error that are closed or full, and too few open files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMANDS = ["topology", "topology --output json", "--version", "--help", "run --help"]


def run(line: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which `numa-trio` is the command."""
    script = f'numa-trio() {{ {sys.executable} -m numa_trio "$@"; }}\n{line}'
    environment = {"PATH": os.environ["PATH"], **variables}
    return subprocess.run(
        ["bash", "-c", script],
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


FULL = ("/dev/full", "No space left on device")
CLOSED = ("&-", "Bad file descriptor")


@pytest.mark.parametrize(
    ("words", "output", "reason"),
    [
        *((words, *FULL) for words in (*COMMANDS, "simulate")),
        *((words, *CLOSED) for words in ("topology", "--version", "simulate")),
    ],
)
def test_output_that_cannot_be_written(words: str, output: str, reason: str) -> None:
    """One line says why, and the status is 1."""
    ended = run(f"numa-trio {words} >{output}")

    assert ended.stderr == f"numa-trio: cannot write to standard output: {reason}\n"
    assert ended.returncode == 1


@pytest.mark.parametrize(
    ("words", "status", "error"),
    [
        ("topology", 0, "/dev/full"),
        ("topology --sysfs-root /nowhere", 2, "/dev/full"),
        ("simulate --machine nowhere", 2, "/dev/full"),
        ("run", 2, "/dev/full"),
        ("nonsense", 2, "/dev/full"),
        ("topology", 0, "&-"),
        ("topology --sysfs-root /nowhere", 2, "&-"),
        ("nonsense", 2, "&-"),
    ],
)
def test_messages_that_nobody_gets(words: str, status: int, error: str) -> None:
    """A message that cannot be written changes neither the status nor what is printed."""
    ended = run(f"numa-trio {words} 2>{error}", NUMA_CAPACITY="0" if words == "run" else "1")

    assert ended.returncode == status
    assert bool(ended.stdout) == (status == 0)
    assert "numa-trio: " not in ended.stdout


def test_every_stream_closed() -> None:
    """The status still says that the output went nowhere."""
    assert run("numa-trio topology <&- >&- 2>&-").returncode == 1


def test_no_file_takes_the_place_of_a_closed_stream(tmp_path: Path) -> None:
    """The agent that is told nothing prints nothing: descriptors 0 to 2 are /dev/null."""
    line = "numa-trio simulate --output json <&- 2>&-"

    ended = run(line, TMPDIR=str(tmp_path))

    assert ended.returncode == 0
    assert ended.stdout.startswith("{")
    assert ended.stdout.endswith("}\n")


def test_an_encoding_without_the_characters() -> None:
    """What the encoding lacks is escaped, and nothing fails."""
    manifest = "<(printf 'apiVersion: v1\\nkind: P\\303\\266d')"

    ended = run(f"numa-trio simulate --pod {manifest}", PYTHONIOENCODING="ascii")

    assert ended.returncode == 2
    assert r"P\xf6d" in ended.stderr


@pytest.mark.parametrize(
    ("words", "at_least"), [("run", 64), ("simulate", 72), ("simulate --output json", 72)]
)
def test_too_few_open_files(words: str, at_least: int) -> None:
    """A limit that would end the command halfway is refused at its start."""
    ended = run(f"ulimit -n 8; numa-trio {words}", NUMA_HTTP_ADDR="")

    said = f"the limit on open files is 8 (ulimit -n); expected at least {at_least}\n"
    assert ended.stderr.endswith(said)
    assert ended.returncode == 2
    assert "Traceback" not in ended.stderr


def test_a_low_soft_limit_on_open_files_is_raised() -> None:
    """The hard limit alone is what the administrator has set."""
    ended = run("ulimit -Sn 8; numa-trio simulate")

    assert ended.returncode == 0


def test_topology_needs_few_open_files() -> None:
    """One file at a time."""
    assert run("ulimit -n 8; numa-trio topology").returncode == 0


def test_a_name_that_is_too_long_for_a_file() -> None:
    """Said as of any machine that is unknown."""
    ended = run(f"numa-trio simulate --machine {'a' * 5000}")

    assert ended.returncode == 2
    assert "no such machine; expected " in ended.stderr


def test_an_error_of_the_system_is_one_line(tmp_path: Path) -> None:
    """No traceback where the temporary directory cannot hold what is needed."""
    ended = run("ulimit -f 0; trap '' XFSZ; numa-trio simulate 2>&1 | cat", TMPDIR=str(tmp_path))

    assert ended.stdout.startswith("numa-trio: ")
    assert "No usable temporary directory" in ended.stdout
    assert "Traceback" not in ended.stdout
