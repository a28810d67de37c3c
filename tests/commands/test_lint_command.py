"""`numa-trio lint`: files, the forms of the output, the exit status, and --fix in place."""

import argparse
import io
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from numa_trio.cli import main
from numa_trio.commands import lint
from numa_trio.workloads.lint.codes import CODES

ROOT = Path(__file__).parents[2]

WRONG = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  template:
    spec:
      containers:
        - name: app
          resources:
            # As measured.
            limits: {cpu: 1500m, memory: 8Gi, numa-align/near-data: 1}
---
kind: Service
"""
RIGHT = WRONG.replace("1500m", "2")
BARE = """\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {containers: [{name: app, resources: {limits: {cpu: 1, memory: 1Gi, numa-align/near-a: 1}}}]}
"""


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("NUMA_") or name in ("COLUMNS", "FORCE_COLOR", "TTY_COMPATIBLE"):
            monkeypatch.delenv(name)


def run(*words: str | Path) -> int:
    return main(["lint", *map(str, words)])


def give(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


@pytest.fixture
def wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with a finding, in the current directory."""
    monkeypatch.chdir(tmp_path)
    Path("web.yaml").write_text(WRONG)
    return Path("web.yaml")


def test_text_has_place_reason_path_and_lines(
    wrong: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All that a person needs to change the file."""
    assert run(wrong) == 1
    assert capsys.readouterr().out == (
        "web.yaml:11:22: error NA002 deployment/web\n"
        "    CPU is not a whole number in app. Only whole CPUs are pinned: ask for 1, 2 or more,"
        " without a fraction.\n"
        "    at spec.template.spec.containers[0].resources.limits.cpu\n"
        "    Write (--fix does):\n"
        "      - name: app\n"
        "        resources:\n"
        "          limits:\n"
        "            cpu: 2\n"
        "\n"
        "1 error in 1 pod or template of 1 file; 1 other object passed over.\n"
    )


def test_the_page_shows_this_output() -> None:
    """What the test above has is the example of docs/lint.md, but for the line's number."""
    assert (
        "error NA002 deployment/web\n    CPU is not a whole" in (ROOT / "docs/lint.md").read_text()
    )


def test_verbose_says_what_was_passed_over(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By kind."""
    wrong.write_text(RIGHT)
    assert run("--verbose", wrong) == 0
    assert capsys.readouterr().out.splitlines() == [
        "Passed over: 1 of kind Service",
        "No findings in 1 pod or template of 1 file; 1 other object passed over.",
    ]


@pytest.mark.parametrize(
    ("text", "options", "status"),
    [
        (WRONG, [], 1),
        (WRONG, ["--ignore", "na002"], 0),
        (WRONG, ["--ignore", "NA001,NA002", "--ignore", "NA003"], 0),
        (WRONG, ["--fail-on", "error"], 1),
        (RIGHT, ["--fail-on", "note"], 0),
        (BARE, [], 0),
        (BARE, ["--fail-on", "note"], 1),
        (RIGHT.replace("near-data", "near_data"), [], 1),
        (RIGHT.replace("near-data", "near_data"), ["--fail-on", "error"], 0),
        ("kind: [", [], 2),
        ("", [], 0),
    ],
)
def test_exit_status(wrong: Path, text: str, options: list[str], status: int) -> None:
    """0: nothing of the least severity, 1: something, 2: it could not be read."""
    wrong.write_text(text)
    assert run(*options, wrong) == status


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"kind: Pod\nspec: [", "numa-trio lint: web.yaml:2:8: is not YAML: "),
        (b"kind: Pod\nkind: Pod", "web.yaml:2:1: is not YAML: found 'kind' for the second time"),
        (b"\xff", "web.yaml: is not text: byte 0 is not UTF-8"),
        (b"a:\n\tb: 1", "web.yaml:2:1: is not YAML: "),
        (b"numa-align/: {{ .Values.x }}", "web.yaml:1:15: is not YAML: "),
        (b"- numa-align/\n- !Ref x", "web.yaml:2:3: is not YAML: found the tag '!Ref'"),
        (b"# numa-align/\n" + b"#" * (4 << 20), "web.yaml: is too large; expected at most 4 MiB"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(
    wrong: Path, capsys: pytest.CaptureFixture[str], content: bytes, said: str
) -> None:
    """On standard error, without a traceback; other files are looked at all the same."""
    wrong.write_bytes(content)
    Path("other.yaml").write_text(WRONG)
    assert run(wrong, "other.yaml") == 2
    output = capsys.readouterr()
    assert said in output.err
    assert "Traceback" not in output.err
    assert "other.yaml:11:22: error NA002" in output.out


def test_files_of_other_programs_are_passed_over(
    wrong: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With tags of their own, or huge, if they name nothing of ours."""
    wrong.write_text("Resources: !Ref x\n")
    Path("huge.json").write_bytes(b"[" + b" " * (5 << 20) + b"]")
    assert run("--verbose", wrong, "huge.json") == 0
    assert [line.partition(":")[2] for line in capsys.readouterr().out.splitlines()[:2]] == [
        " web.yaml: too large, or another's tags",
        " huge.json: too large, or another's tags",
    ]


def test_missing_and_odd_files(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Each is named, with the reason."""
    assert run("nowhere.yaml", "a\0b", "x" * 5000, "/dev/zero") == 2
    summary, said = capsys.readouterr()
    assert summary == (
        "No findings in 0 pods and templates of 4 files; 4 problems, on standard error.\n"
    )
    assert "nowhere.yaml: cannot be read: No such file or directory" in said
    assert "cannot be read: embedded null byte" in said
    assert "cannot be read: File name too long" in said
    assert "/dev/zero: is too large; expected at most 4 MiB, or 64 without" in said


def test_folders_are_read_through(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By name, without hidden ones and files that are called otherwise; each file once."""
    for name in ("b/2.yml", "b/1.json", "a/c/3.yaml", ".git/4.yaml", "a/.5.yaml", "a/read.me"):
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(WRONG)
    assert run(".", wrong, "./web.yaml") == 1
    found = [line for line in capsys.readouterr().out.splitlines() if "error NA002" in line]
    files = [line.partition(":")[0] for line in found]
    assert files == ["web.yaml", "a/c/3.yaml", "b/1.json", "b/2.yml", "./web.yaml"]


def test_standard_input(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in `kustomize build | numa-trio lint -`."""
    give(monkeypatch, WRONG)
    assert run("-") == 1
    assert capsys.readouterr().out.startswith("standard input:11:22: error NA002")


def test_settings_of_the_agent(
    wrong: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The domain, and the unit of memory; a bad value is bad configuration."""
    monkeypatch.setenv("NUMA_RESOURCE_DOMAIN", "example.com")
    assert run(wrong) == 0
    wrong.write_text(WRONG.replace("numa-align/", "example.com/"))
    assert run(wrong) == 1
    monkeypatch.setenv("NUMA_MEMORY_UNIT", "much")
    assert run(wrong) == 2
    assert "NUMA_MEMORY_UNIT='much'" in capsys.readouterr().err


def test_json_has_the_documented_form(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Programs find the documented fields in their order."""
    Path("bad.yaml").write_text("a: [")
    assert run("--output", "json", wrong, "bad.yaml") == 2
    document = json.loads(capsys.readouterr().out)
    finding = document["findings"][0]
    path = "spec.template.spec.containers[0].resources.limits.cpu"
    assert document == {
        "version": 1,
        "findings": [finding],
        "fixed": [],
        "problems": [{"file": "bad.yaml", "line": 1, "column": 5} | {"text": finding_of(document)}],
        "files": 2,
        "pods": 1,
        "passed_over": {"Service": 1},
        "files_passed_over": [],
    }
    assert list(finding.items())[:8] == [
        ("code", "NA002"),
        ("severity", "error"),
        ("file", "web.yaml"),
        ("line", 11),
        ("column", 22),
        ("document", 0),
        ("object", "deployment/web"),
        ("path", path),
    ]
    assert finding["places"] == [{"line": 11, "column": 22, "path": path}]
    assert finding["suggestion"][-1] == "      cpu: 2"
    assert finding["fixable"] is True


def finding_of(document: dict[str, Any]) -> str:
    (problem,) = document["problems"]
    assert problem["text"].startswith("is not YAML: ")
    return str(problem["text"])


def test_github_escapes_what_would_end_a_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A line for each place; a note is called a notice."""
    odd = tmp_path / "a,b:c%.yaml"
    odd.write_text(WRONG)
    (tmp_path / "bad.yaml").write_text("a: [")
    (tmp_path / "pod.yaml").write_text(BARE)
    assert run("--output", "github", tmp_path) == 2
    first, second, third = capsys.readouterr().out.splitlines()
    assert first.startswith(
        f"::error file={tmp_path}/a%2Cb%3Ac%25.yaml,line=11,col=22,title=NA002%3A CPU not a whole"
        " number::CPU is not a whole number in app."
    )
    assert first.endswith("%0AWrite:%0A- name: app%0A  resources:%0A    limits:%0A      cpu: 2")
    assert second.startswith(f"::notice file={tmp_path}/pod.yaml,line=2,col=1,title=NA105%3A bare")
    assert third.startswith(f"::error file={tmp_path}/bad.yaml,line=1,col=5,title=cannot be")


def test_sarif_has_what_code_scanning_needs(
    wrong: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Rules by their index, levels, and regions in files with relative names."""
    Path("a b.yaml").write_text("a: [")
    assert run("--output", "sarif", "./web.yaml", "a b.yaml") == 2
    document = json.loads(capsys.readouterr().out)
    assert document["version"] == "2.1.0"
    (whole,) = document["runs"]
    rules = whole["tool"]["driver"]["rules"]
    assert [rule["id"] for rule in rules] == list(CODES)
    assert {rule["defaultConfiguration"]["level"] for rule in rules} == {"error", "warning", "note"}
    (result,) = whole["results"]
    assert rules[result["ruleIndex"]]["id"] == result["ruleId"] == "NA002"
    assert result["level"] == "error"
    assert result["message"]["text"].startswith("CPU is not a whole number in app.")
    physical = result["locations"][0]["physicalLocation"]
    assert physical["artifactLocation"] == {"uri": "web.yaml"}
    assert physical["region"] == {"startLine": 11, "startColumn": 22}
    (invocation,) = whole["invocations"]
    assert invocation["executionSuccessful"] is False
    (notification,) = invocation["toolExecutionNotifications"]
    place = notification["locations"][0]["physicalLocation"]
    assert place == {
        "artifactLocation": {"uri": "a%20b.yaml"},
        "region": {"startLine": 1, "startColumn": 5},
    }


def test_fix_rewrites_the_file(wrong: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """In place, with its mode, and says what was written; nothing is left beside it."""
    wrong.chmod(0o640)
    assert run("--fix", wrong) == 0
    assert wrong.read_text() == RIGHT
    assert wrong.stat().st_mode & 0o7777 == 0o640
    assert [*Path().iterdir()] == [wrong]
    assert capsys.readouterr().out.splitlines()[0] == (
        "Fixed NA002 web.yaml: spec.template.spec.containers[0].resources.limits.cpu"
    )


def test_fix_keeps_byte_order_mark_and_line_ends(wrong: Path) -> None:
    """Those of files from Windows."""
    wrong.write_bytes(b"\xef\xbb\xbf" + WRONG.replace("\n", "\r\n").encode())
    assert run("--fix", wrong) == 0
    assert wrong.read_bytes() == b"\xef\xbb\xbf" + RIGHT.replace("\n", "\r\n").encode()


def test_fix_leaves_alone_what_is_right(wrong: Path) -> None:
    """A file in which nothing is to be mended is not written at all."""
    wrong.write_text(RIGHT)
    before = wrong.stat()
    assert run("--fix", wrong) == 0
    after = wrong.stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_fix_follows_a_link(wrong: Path) -> None:
    """The file that it leads to is written; the link stays one."""
    link = Path("link.yaml")
    link.symlink_to("web.yaml")
    assert run("--fix", link) == 0
    assert link.is_symlink()
    assert wrong.read_text() == RIGHT


def test_fix_that_cannot_write_says_so(
    wrong: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The file stays, its findings are told, and nothing is left beside it."""

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert run("--fix", wrong) == 2
    output = capsys.readouterr()
    assert "web.yaml: cannot be written: No space left on device" in output.err
    assert "web.yaml:11:22: error NA002" in output.out
    assert wrong.read_text() == WRONG
    assert [*Path().iterdir()] == [wrong]


def test_fix_of_a_pipe_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`--fix <(…)` has no file to write."""
    reading, writing = os.pipe()
    os.write(writing, WRONG.encode())
    os.close(writing)
    try:
        assert run("--fix", f"/proc/self/fd/{reading}") == 2
    finally:
        os.close(reading)
    assert "cannot be rewritten: expected a file, no pipe or device" in capsys.readouterr().err


def test_fix_of_standard_input_goes_to_standard_output(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Alone: what is said goes to standard error."""
    give(monkeypatch, WRONG)
    assert run("--fix", "-") == 0
    output = capsys.readouterr()
    assert output.out == RIGHT
    assert "Fixed NA002 standard input" in output.err
    give(monkeypatch, "a: [")
    assert run("--fix", "-") == 2
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    "words",
    [
        [],
        ["--ignore", "NA999", "x.yaml"],
        ["--fix", "-", "x.yaml"],
        ["--fix", "--output", "json", "-"],
        ["--output", "xml", "x.yaml"],
    ],
    ids=" ".join,
)
def test_bad_usage(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """Status 2, and a message that says what is expected."""
    try:
        status = run(*words)
    except SystemExit as ended:
        status = int(ended.code or 0)
    assert status == 2
    assert capsys.readouterr().err


@pytest.mark.parametrize("columns", ["40", "200"])
def test_help_has_examples(
    columns: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Commands to copy, and what the exit status means."""
    monkeypatch.setenv("COLUMNS", columns)
    with pytest.raises(SystemExit):
        run("--help")
    text = capsys.readouterr().out
    assert "  numa-trio lint --fix manifests/\n" in text
    assert "exit status:\n  0  " in text


def test_colours_only_where_they_are_wanted(wrong: Path) -> None:
    """On a terminal, but not with NO_COLOR; lines are broken between words."""
    script = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
    command = [sys.executable, "-c", script, sys.executable, "-m", "numa_trio", "lint", str(wrong)]
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "60"}
    shown = []
    for more in ({}, {"NO_COLOR": "1"}):
        ended = subprocess.run(
            command,
            env=environment | more,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert ended.returncode == 1
        shown.append(ended.stdout)
    colourful, plain = shown
    assert "\x1b[1;31mweb.yaml:11:22: error NA002" in colourful
    assert "\x1b[1;31m" not in plain
    lines = re.sub(r"\x1b\[[0-9;]*m", "", plain.replace("\r", "")).splitlines()
    assert max(map(len, lines)) <= 60
    assert "    CPU is not a whole number in app. Only whole CPUs are" in lines


def test_hooks_of_pre_commit_are_commands_of_ours() -> None:
    """Their options are such that lint takes, before the files that pre-commit adds."""
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text())
    assert [hook["id"] for hook in hooks] == ["numa-trio-lint", "numa-trio-lint-fix"]
    for hook in hooks:
        program, command, *options = hook["entry"].split()
        assert (program, command) == ("numa-trio", "lint")
        parser = argparse.ArgumentParser()
        lint.add_arguments(parser)
        assert parser.parse_args([*options, "a.yaml"]).files == ["a.yaml"]
        assert hook["id"] in (ROOT / "docs/lint.md").read_text()


def test_the_agent_loads_nothing_of_it() -> None:
    """Neither lint nor what it needs is imported with the command line and the agent."""
    script = (
        "import sys, numa_trio.cli, numa_trio.agent.service\n"
        "print([name for name in sys.modules if name.startswith(('ruamel', 'rich', 'yaml.'))"
        " or name.startswith(('numa_trio.workloads.lint', 'numa_trio.commands.lint_'))])"
    )
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert ended.stdout == "[]\n"
