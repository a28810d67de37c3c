"""docs/lint.md says of each code what lint does."""

import json
import re
from pathlib import Path

import pytest

from lint_cases import OPTIONS, found_in
from numa_trio.workloads.lint.codes import CODES
from numa_trio.workloads.lint.fixing import fix_text
from numa_trio.workloads.lint.mends import MENDS

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/lint.md").read_text()
SECTIONS = dict(re.findall(r"^### (NA\d{3}): (.*?)(?=^##|\Z)", PAGE, re.MULTILINE | re.DOTALL))


def snippets(code: str) -> list[str]:
    return re.findall(r"^```yaml\n(.*?)^```$", SECTIONS[code], re.MULTILINE | re.DOTALL)


def test_each_code_has_a_section() -> None:
    """In order, with its title; the severity is the one that lint gives it."""
    assert list(SECTIONS) == list(CODES)
    for code, section in SECTIONS.items():
        title, _, text = section.partition("\n\n")
        assert title == CODES[code].title
        assert text.lower().startswith(f"*{CODES[code].severity}")


@pytest.mark.parametrize("code", CODES)
def test_first_manifest_has_the_finding_and_second_has_none(code: str) -> None:
    """The first one's worst finding is the section's; the second has none at all."""
    first, second = snippets(code)
    found = {each.code: each.severity for each in found_in(first)}
    with_it = {"NA106": {"NA105"}, "NA107": {"NA005"}}
    assert found.keys() == {code} | with_it.get(code, set())
    assert found[code] == CODES[code].severity
    assert found_in(second) == []


@pytest.mark.parametrize("code", CODES)
def test_fix_writes_what_the_page_says(code: str) -> None:
    """The table of --fix has the codes that it mends, and their manifests become good ones."""
    first, _ = snippets(code)
    in_table = re.search(rf"^\| {code} \|", PAGE, re.MULTILINE) is not None
    assert in_table == (code in MENDS or code == "NA101")
    fixed = fix_text("f", first, OPTIONS)
    assert {each.code for each in fixed.fixed} == ({code} if in_table else set())
    if in_table:
        assert fixed.left.findings == []


def test_sections_of_the_policies_are_linked() -> None:
    """A code that is a policy's leads to its section there, where it is explained."""
    for code, section in SECTIONS.items():
        links = re.findall(r"policies\.md#(na\d{3})", section)
        assert links == ([code.lower()] if code < "NA100" else [])


def test_fields_of_json_are_documented() -> None:
    """The tables have each field that the output has."""
    from numa_trio.commands.lint_json import as_object
    from numa_trio.commands.lint_result import Result

    result = Result(findings=found_in(snippets("NA002")[0]))
    document = json.loads(json.dumps(as_object(result)))
    (finding,) = document["findings"]
    rows = re.findall(r"^\| (`\w.*?) \|", PAGE, re.MULTILINE)
    documented = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert documented >= {*document, *finding}
    assert f"`version` is {document['version']}" in PAGE.replace("\n", " ")
