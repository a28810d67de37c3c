"""`numa-trio lint` as SARIF 2.1.0, the form of code scanning. Source: OASIS, SARIF 2.1.0."""

import json
from typing import TYPE_CHECKING
from urllib.parse import quote

from numa_trio import __version__
from numa_trio.workloads.lint.codes import CODES

if TYPE_CHECKING:
    from numa_trio.commands.lint_files import Problem
    from numa_trio.commands.lint_result import Result
    from numa_trio.workloads.lint.finding import Finding, Place

Object = dict[str, object]

_RULES = list(CODES)


def print_sarif(result: "Result") -> None:
    """Print one run on standard output."""
    driver = {
        "name": "numa-trio lint",
        "version": __version__,
        "rules": [_rule(code) for code in CODES],
    }
    run = {
        "tool": {"driver": driver},
        "columnKind": "unicodeCodePoints",
        "invocations": [
            {
                "executionSuccessful": not result.problems,
                "toolExecutionNotifications": [_notification(each) for each in result.problems],
            }
        ],
        "results": [_result(each) for each in result.findings],
    }
    print(json.dumps({"version": "2.1.0", "runs": [run]}, indent=2))


def _rule(code: str) -> Object:
    return {
        "id": code,
        "shortDescription": {"text": CODES[code].title},
        "help": {"text": f"docs/lint.md has a section on {code}."},
        "defaultConfiguration": {"level": CODES[code].severity},
    }


def _result(finding: "Finding") -> Object:
    lines = ["", "Write:", *finding.suggestion] if finding.suggestion else []
    return {
        "ruleId": finding.code,
        "ruleIndex": _RULES.index(finding.code),
        "level": finding.severity,
        "message": {"text": "\n".join([finding.text, *lines])},
        "locations": [_location(finding.file, each) for each in finding.places],
    }


def _location(file: str, place: "Place") -> Object:
    return {
        "physicalLocation": {
            "artifactLocation": {"uri": _uri(file)},
            "region": {"startLine": place.line, "startColumn": place.column},
        },
        "logicalLocations": [{"fullyQualifiedName": place.path, "kind": "property"}],
    }


def _notification(problem: "Problem") -> Object:
    physical: Object = {"artifactLocation": {"uri": _uri(problem.file)}}
    if problem.place:
        line, column = problem.place
        physical["region"] = {"startLine": line, "startColumn": column}
    return {
        "level": "error",
        "message": {"text": problem.text},
        "locations": [{"physicalLocation": physical}],
    }


def _uri(file: str) -> str:
    """A relative reference for a relative name, as code scanning expects it."""
    return quote(file.removeprefix("./"), errors="surrogateescape")
