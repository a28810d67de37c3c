"""`numa-trio lint` for programs: one JSON document. docs/lint.md has the fields."""

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numa_trio.commands.lint_files import Problem
    from numa_trio.commands.lint_result import Result
    from numa_trio.workloads.lint.finding import Finding

VERSION = 1  # goes up when a field goes or means something else; fields may be added

Object = dict[str, object]


def print_json(result: "Result") -> None:
    """Print it all on standard output."""
    print(json.dumps(as_object(result), indent=2))


def as_object(result: "Result") -> Object:
    """The document."""
    return {
        "version": VERSION,
        "findings": [_finding(each) for each in result.findings],
        "fixed": [_finding(each) for each in result.fixed],
        "problems": [_problem(each) for each in result.problems],
        "files": result.files,
        "pods": result.pods,
        "passed_over": result.passed_over,
        "files_passed_over": result.files_passed_over,
    }


def _finding(finding: "Finding") -> Object:
    return {
        "code": finding.code,
        "severity": finding.severity,
        "file": finding.file,
        "line": finding.place.line,
        "column": finding.place.column,
        "document": finding.document,
        "object": finding.object_name,
        "path": finding.place.path,
        "text": finding.text,
        "places": [
            {"line": each.line, "column": each.column, "path": each.path} for each in finding.places
        ],
        "suggestion": [*finding.suggestion],
        "fixable": finding.fixable,
    }


def _problem(problem: "Problem") -> Object:
    line, column = problem.place or (None, None)
    return {"file": problem.file, "line": line, "column": column, "text": problem.text}
