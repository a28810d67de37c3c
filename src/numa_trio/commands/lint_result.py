"""What `numa-trio lint` found in all its files."""

from collections.abc import Sequence

from attrs import define, field

from numa_trio.commands.lint_files import (
    STANDARD_INPUT,
    Problem,
    files_in,
    read_file,
    replace_file,
)
from numa_trio.workloads.documents import MalformedDocument, text_of
from numa_trio.workloads.lint.check import Linted, Options, lint_text
from numa_trio.workloads.lint.finding import Finding
from numa_trio.workloads.lint.fixing import fix_text


@define
class Result:
    """The findings that are left, those that were mended, and what was seen.

    `passed_over` counts the objects of each kind that make no pods, `files_passed_over` names the
    files that were not looked into, as they are too large to or have another program's tags.
    """

    findings: list[Finding] = field(factory=list)
    fixed: list[Finding] = field(factory=list)
    problems: list[Problem] = field(factory=list)
    passed_over: dict[str, int] = field(factory=dict)
    files_passed_over: list[str] = field(factory=list)
    files: int = 0
    pods: int = 0
    rewritten_input: str = ""

    @property
    def worst_rank(self) -> int:
        """The rank of the worst severity; -1 if there are no findings."""
        return max((each.severity.rank for each in self.findings), default=-1)

    def add(self, linted: Linted) -> None:
        """Take over what was found in a file."""
        self.findings += linted.findings
        self.pods += linted.pods
        for kind, count in linted.passed_over.items():
            self.passed_over[kind] = self.passed_over.get(kind, 0) + count


def lint_files(names: Sequence[str], options: Options, *, fix: bool) -> Result:
    """Lint these files and those in these folders; with `fix` write what can be mended."""
    result = Result()
    for file in files_in(names):
        if isinstance(file, Problem):
            result.problems.append(file)
            continue
        result.files += 1
        content = read_file(file, options.domain)
        match content:
            case Problem():
                result.problems.append(content)
            case None:
                result.files_passed_over.append(file)
            case bytes():
                _lint(file, content, options, fix, result)
    return result


def _lint(file: str, content: bytes, options: Options, fix: bool, result: Result) -> None:
    try:
        text = text_of(content)
        if not fix:
            result.add(lint_text(file, text, options))
            return
        mended = fix_text(file, text, options)
    except MalformedDocument as problem:
        if problem.own_tags and f"{options.domain}/".encode() not in content:
            result.files_passed_over.append(file)
        else:
            result.problems.append(Problem(file, problem.problem, problem.place))
        return
    if file == STANDARD_INPUT:
        result.rewritten_input = mended.text
    elif mended.fixed and (trouble := replace_file(file, content, mended.text)):
        result.problems.append(trouble)
        result.add(lint_text(file, text, options))
        return
    result.fixed += mended.fixed
    result.add(mended.left)
