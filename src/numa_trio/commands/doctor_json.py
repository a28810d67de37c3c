"""`numa-trio doctor` for programs: one JSON document, described in docs/doctor.md."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from numa_trio.doctor.evidence.gather import Evidence
    from numa_trio.doctor.finding import Finding

SCHEMA_VERSION = 1


def print_json(evidence: "Evidence", findings: "Sequence[Finding]") -> None:
    """Print it all on standard output. Keys are only ever added while the version stays."""
    from numa_trio.doctor.finding import Severity

    document = {
        "version": SCHEMA_VERSION,
        "distribution": evidence.distribution.name.value,
        "sources": [*evidence.config.sources],
        "summary": {
            severity.value: sum(each.verdict.severity is severity for each in findings)
            for severity in Severity
        },
        "checks": [_check(finding) for finding in findings],
    }
    print(json.dumps(document, indent=2))


def _check(finding: "Finding") -> dict[str, object]:
    check, verdict = finding.check, finding.verdict
    place, remedy = verdict.place, verdict.remedy
    return {
        "code": check.code,
        "title": check.title,
        "severity": verdict.severity.value,
        "seen": verdict.seen,
        "path": None if place is None else place.path,
        "line": None if place is None else place.line,
        "why": check.why,
        "change": None
        if remedy is None
        else {"where": remedy.where, "lines": [*remedy.lines], "then": remedy.then},
    }
