"""The manifests of tests/workloads/lint_corpus, each with what is to be found in it.

Beside `name.yaml` stands `name.yaml.expected`, a line for each finding in the order of the file:
line:column, code, severity, `fixable` or `by-hand`, path.
"""

from functools import cache
from pathlib import Path

from numa_trio.workloads.documents import text_of
from numa_trio.workloads.lint.check import Options, lint_text
from numa_trio.workloads.lint.finding import Finding
from numa_trio.workloads.lint.fixing import Fixed, fix_text

FOLDER = Path(__file__).parent / "workloads/lint_corpus"
CORPUS = sorted(each for each in FOLDER.iterdir() if each.suffix != ".expected")
OPTIONS = Options()


def text_in(file: Path) -> str:
    return text_of(file.read_bytes())


def expected_of(file: Path) -> list[str]:
    return file.with_name(f"{file.name}.expected").read_text().splitlines()


def shown(finding: Finding) -> str:
    place = finding.place
    how = "fixable" if finding.fixable else "by-hand"
    return f"{place.line}:{place.column} {finding.code} {finding.severity} {how} {place.path}"


def found_in(text: str, options: Options = OPTIONS) -> list[Finding]:
    return lint_text("pods.yaml", text, options).findings


@cache
def mended(file: Path) -> Fixed:
    """The file after --fix; of each only once, as it takes a while."""
    return fix_text(file.name, text_in(file), OPTIONS)
