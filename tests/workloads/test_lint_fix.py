"""--fix mends what a finding says, and keeps comments, order and every other line."""

import difflib
import json
from pathlib import Path

import pytest
import yaml

from lint_cases import CORPUS, OPTIONS, found_in, mended, text_in
from numa_trio.workloads.documents import parse_documents
from numa_trio.workloads.lint.finding import Finding
from numa_trio.workloads.lint.fixing import fix_text
from numa_trio.workloads.lint.rewriting import rewrite
from numa_trio.workloads.lint.same_lines import with_changes

# JSON and flow mappings over several lines come out in one form within what hangs together.
REARRANGED = {"flow.yaml", "tabs.json"}
# What is left of these has to be decided by their authors.
UNFIXABLE = {"anchors-shared.yaml"}

DEPLOYMENT = """\
# The search.
apiVersion: apps/v1
kind: Deployment
metadata: {name:   search}   # spaces of its own
spec:
  template:
    spec:
      initContainers:
      - name: prepare
        resources:
          limits:
            cpu:    "1"
            memory: 128Mi   # small

      # The search itself.
      containers:
        - name: search   # deeper than the list above
          args: ["--on", 'yes', 0644]
          resources:
            requests: {cpu: 500m,  memory: 100Mi}
            limits:
              cpu: 1500m   # a fraction
              memory: 0.3Gi
              numa-align/near-data: 1
              # counted, by hand
              numa-align/near-data-cpu: 4
---
kind: Service
"""

FIXED = """\
# The search.
apiVersion: apps/v1
kind: Deployment
metadata: {name:   search}   # spaces of its own
spec:
  template:
    spec:
      initContainers:
      - name: prepare
        resources:
          limits:
            cpu:    "1"
            memory: 128Mi   # small
            numa-align/near-data: 1

      # The search itself.
      containers:
        - name: search   # deeper than the list above
          args: ["--on", 'yes', 0644]
          resources:
            requests: {cpu: 2, memory: 308Mi}
            limits:
              cpu: 2       # a fraction
              memory: 308Mi
              numa-align/near-data: 1
              # counted, by hand
              numa-align/near-data-cpu: 2
---
kind: Service
"""


def codes(findings: list[Finding] | tuple[Finding, ...]) -> list[str]:
    return [each.code for each in findings]


def test_comments_order_and_spaces_stay() -> None:
    """Only the lines that the findings are about change, over as many rounds as it takes."""
    fixed = fix_text("f", DEPLOYMENT, OPTIONS)
    assert fixed.text == FIXED
    assert sorted(codes(fixed.fixed)) == ["NA002", "NA003", "NA004", "NA007", "NA008"]
    assert fixed.left.findings == []


@pytest.mark.parametrize("newline", ["\n", "\r\n"])
def test_line_ends_stay(newline: str) -> None:
    """Those of Windows too, in each line that is written."""
    fixed = fix_text("f", DEPLOYMENT.replace("\n", newline), OPTIONS)
    assert fixed.text == FIXED.replace("\n", newline)


def test_mixed_line_ends_are_left_alone() -> None:
    """Which of them a new line should have is not for us to say."""
    text = DEPLOYMENT.replace("\n", "\r\n", 4)
    fixed = fix_text("f", text, OPTIONS)
    assert fixed.text == text
    assert {each.held_back for each in fixed.left.findings if each.edits} == {
        "--fix cannot write these lines: change them by hand"
    }


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_what_was_fixed_is_found_no_more(file: Path) -> None:
    """After --fix no finding could be fixed, and a second --fix changes nothing."""
    text = text_in(file)
    fixable = {each.code for each in found_in(text) if each.fixable}
    fixed = mended(file)
    assert fixable <= set(codes(fixed.fixed))
    assert not fixable & set(codes(fixed.left.findings))
    assert not any(each.fixable for each in fixed.left.findings)
    assert (fixed.text != text) == bool(fixable)
    again = fix_text(file.name, fixed.text, OPTIONS)
    assert (again.text, again.fixed) == (fixed.text, ())
    if file.name in UNFIXABLE:
        assert any(each.held_back for each in fixed.left.findings)


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_other_lines_stay_as_they_are(file: Path) -> None:
    """A line that differs has a resource in it, or opens the mapping for one."""
    before = text_in(file).splitlines(keepends=True)
    after = mended(file).text.splitlines(keepends=True)
    for line in difflib.ndiff(before, after):
        if line[:2] in {"- ", "+ "} and file.name not in REARRANGED:
            words = ("cpu", "memory", "numa-align/", "limits:", "resources:")
            assert any(word in line for word in words), line


@pytest.mark.parametrize("file", CORPUS, ids=lambda file: file.name)
def test_another_parser_reads_the_same(file: Path) -> None:
    """PyYAML's own loader reads of a mended file what this project's reads."""
    text = mended(file).text
    theirs = list(yaml.safe_load_all(text.replace("\t", " ")))
    ours = parse_documents(text.encode())
    assert json.loads(json.dumps(theirs, default=str)) == ours


ODD = """\
x-odd: # as no program would write it
    dates: [2001-01-01, 2001-12-14 21:59:43.10 -5, 1:30, 190:20:30]
    numbers: [0644, 0x1F, 0b11, 0o8, 1_000, 1e999, .inf, .nan, +5, 1., 1E+3, -0]
    words: [~, null, yes, on, =, "<<", '#no', "a\\nb\\x41\\U0001F600", 'a''b', 日本, a:b]
    tags: [!!str 5, !!int '5', !!bool 'yes', !!null '', !!timestamp foo bar, ! foo]
    ? key
    :   - 1
        -   - 2
            - &name {a: 1, ? b : 2}
    merged: {<<: [*name, {c: 3}], a: 4}
    text: |+
      kept

    folded: >-
      one
        two

      three
    long: "plain plain plain plain plain plain plain plain plain plain plain plain plain plain"
"""


def test_odd_values_stay_as_they_are_written() -> None:
    """Forms that a writer of YAML would choose otherwise, in the document that is mended."""
    text = ODD.replace("!!timestamp foo bar", "!!float 1.5") + DEPLOYMENT
    assert fix_text("f", text, OPTIONS).text == text.replace(DEPLOYMENT, FIXED)


@pytest.mark.parametrize("odd", ["2001-99-99", "!!timestamp foo"])
def test_what_the_writer_cannot_read_is_left(odd: str) -> None:
    """ruamel.yaml refuses dates that are none: the file stays, and the findings say so."""
    text = f"x-odd: {odd}\n{DEPLOYMENT}"
    fixed = fix_text("f", text, OPTIONS)
    assert (fixed.text, fixed.fixed) == (text, ())
    assert any(each.held_back.startswith("--fix cannot") for each in fixed.left.findings)


def test_what_an_alias_shares_is_left() -> None:
    """Another container would change with it: the finding says so."""
    text = (CORPUS[0].parent / "anchors-shared.yaml").read_text()
    (finding,) = found_in(text)
    assert not finding.fixable
    assert "alias" in finding.held_back


def test_what_a_merge_key_brings_is_overridden_here_only() -> None:
    """The mapping gets a key of its own; what it is merged from stays for others."""
    text = (CORPUS[0].parent / "merge-key.yaml").read_text()
    fixed = fix_text("f", text, OPTIONS).text
    assert fixed == text.replace("<<: *limits\n", "<<: *limits\n", 1).replace(
        "near-data: 1\n", "near-data: 1\n              cpu: 2\n"
    )


def test_a_mapping_that_is_merged_elsewhere_is_left() -> None:
    """A change of it would change the others as well, of which nothing is said about."""
    text = """\
apiVersion: apps/v1
kind: Deployment
metadata: {name: a}
spec:
  template:
    spec:
      containers:
        - name: a
          resources:
            limits: &own {cpu: 2, memory: 0.3Gi, numa-align/near-data: 1}
            requests: {cpu: 1}
x-others: {<<: *own}
"""
    fixed = fix_text("f", text, OPTIONS)
    assert codes(fixed.fixed) == ["NA003"]
    assert fixed.text == text.replace("{cpu: 1}", "{cpu: 2}")
    (left,) = fixed.left.findings
    assert (left.code, left.fixable) == ("NA008", False)


def test_an_edit_that_cannot_be_proved_is_not_made() -> None:
    """What the written text says must be what the edits say: else the text stays."""
    text = "a: &x 1\nb: *x\n"
    finding = found_in((CORPUS[0].parent / "na002-fraction.yaml").read_text())[0]
    assert rewrite(text, [finding]).text == text


def test_a_number_that_means_something_else_is_not_guessed() -> None:
    """512m of memory is half a byte; 512Mi is suggested, and not written."""
    (finding,) = found_in((CORPUS[0].parent / "na008-thousandths.yaml").read_text())
    assert not finding.fixable
    assert "    memory: 512Mi" in "\n".join(finding.suggestion)


@pytest.mark.parametrize(
    ("amount", "written"),
    [
        ("0.3Gi", "308Mi"),
        ("1.7Gi", "1741Mi"),
        ("1.7Mi", "1741Ki"),
        ("1024500m", "1025"),
    ],
)
def test_bytes_are_rounded_up_a_little(amount: str, written: str) -> None:
    """To the next whole MiB, KiB or byte, whichever adds little."""
    text = FIXED.replace("308Mi", amount)
    assert fix_text("f", text, OPTIONS).text == FIXED.replace("308Mi", written)


def test_huge_pages_become_whole_pages() -> None:
    """The next multiple of the page's size."""
    text = FIXED.replace(
        "memory: 308Mi\n", "memory: 308Mi\n              hugepages-2Mi: 2097151500m\n"
    )
    assert "hugepages-2Mi: 2097152\n" in fix_text("f", text, OPTIONS).text


@pytest.mark.parametrize(
    ("original", "unchanged", "changed", "expected"),
    [
        ("a b c", "a b c", "a x c", "a x c"),
        ("a b c", "a b c", "a c", "a c"),
        ("a b c", "a b c", "x a b c y", "x a b c y"),
        ("A b C", "a b c", "a x c", "A x C"),
        ("A b C", "a b c", "a b y c", "A b y C"),
        ("a B1 B2 c d", "a b c d", "a b c x", "a B1 B2 c x"),
        ("a B1 B2 c d", "a b c d", "a x c d", "a x c d"),
        ("a b", "a - b", "a - x", "a - x"),
        ("", "", "x", "x"),
    ],
)
def test_lines_of_the_original_stay(
    original: str, unchanged: str, changed: str, expected: str
) -> None:
    """What the writer writes otherwise is taken over only together with a change."""
    given = (text.split(" ") if text else [] for text in (original, unchanged, changed))
    assert with_changes(*given) == expected.split(" ")


def test_new_lines_are_as_deep_as_their_neighbours() -> None:
    """Where a file indents as no writer does, a changed line goes where the line before it is."""
    original = ["a:", "     b:", "       c: 1", "d:", "  e: 1"]
    unchanged = ["a:", "  b:", "    c: 1", "d:", "  e: 1"]
    changed = ["a:", "  b:", "    c: 2", "    x:", "      y: 1", "d:", "  e: 1"]
    assert with_changes(original, unchanged, changed) == [
        "a:",
        "     b:",
        "       c: 2",
        "       x:",
        "         y: 1",
        "d:",
        "  e: 1",
    ]
