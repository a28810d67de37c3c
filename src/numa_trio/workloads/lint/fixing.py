"""Lints a text and mends what can be mended without asking its author."""

from attrs import evolve, frozen

from numa_trio.workloads.lint.check import Linted, Options, lint_text
from numa_trio.workloads.lint.finding import Finding
from numa_trio.workloads.lint.rewriting import rewrite

_GIVEN_UP = "--fix cannot write these lines: change them by hand"
_MOST_ROUNDS = 10  # a mended pod may break another rule: rounded CPUs, then their count


@frozen
class Fixed:
    """The text as it then is, what was mended, and what is still found in it."""

    text: str
    fixed: tuple[Finding, ...]
    left: Linted


def fix_text(file: str, text: str, options: Options) -> Fixed:
    """Mend a text; the places of what was mended are those before. Raises `MalformedDocument`."""
    fixed: list[Finding] = []
    left = lint_text(file, text, options)
    for _ in range(_MOST_ROUNDS):
        if not any(each.fixable for each in left.findings):
            break
        rewritten = rewrite(text, left.findings)
        if not rewritten.fixed:
            left.findings = [_given_up(each) for each in left.findings]
            break
        fixed += rewritten.fixed
        text = rewritten.text
        left = lint_text(file, text, options)
    return Fixed(text, tuple(fixed), left)


def _given_up(finding: Finding) -> Finding:
    return evolve(finding, held_back=_GIVEN_UP) if finding.fixable else finding
