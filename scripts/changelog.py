#!/usr/bin/env python3
"""Check that CHANGELOG.md has the form of Keep a Changelog, or print what it says of a version.

Usage: scripts/changelog.py [VERSION]. Needs nothing but Python.
"""

import argparse
import re
import sys
from collections import Counter
from datetime import date
from pathlib import Path
from typing import NamedTuple

CHANGELOG = Path("CHANGELOG.md")
UNRELEASED = "Unreleased"
KINDS = ("Added", "Changed", "Deprecated", "Removed", "Fixed", "Security")

# Semantic versions that are also versions of a Python package and tags of an image.
VERSION = re.compile(
    r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)(-(alpha|beta|rc)\.(0|[1-9]\d*))?", re.ASCII
)
_HEADING = re.compile(r"\[([^\]]+)\](?: - (.+))?")


class Section(NamedTuple):
    """What the file says of a version: its heading without the #, and the lines below it."""

    heading: str
    lines: list[str]

    @property
    def version(self) -> str:
        """The version, or Unreleased; the heading itself, if it has another form."""
        found = _HEADING.fullmatch(self.heading)
        return found[1] if found else self.heading

    @property
    def released(self) -> str:
        """The date as it is written; empty if there is none."""
        found = _HEADING.fullmatch(self.heading)
        return (found[2] or "") if found else ""

    @property
    def entries(self) -> list[str]:
        """The first line of each entry."""
        return [line for line in self.lines if line.startswith("- ")]

    @property
    def text(self) -> str:
        """All of it below the heading."""
        return "\n".join(self.lines).strip()


def read_sections(text: str) -> list[Section]:
    """The sections of the file, in its order."""
    sections: list[Section] = []
    for line in text.splitlines():
        if line.startswith("## "):
            sections.append(Section(line.removeprefix("## ").strip(), []))
        elif sections and not re.match(r"\[[^\]]+\]: ", line):
            sections[-1].lines.append(line)
    return sections


def faults(text: str) -> list[str]:
    """What is not as Keep a Changelog has it, one sentence each."""
    sections = read_sections(text)
    found = []
    if not text.startswith("# Changelog\n"):
        found.append("the first line is not '# Changelog'")
    if not sections or sections[0].heading != f"[{UNRELEASED}]":
        found.append(f"the first section is not '## [{UNRELEASED}]'")
    versions = Counter(section.version for section in sections)
    found += [f"{version} has {count} sections" for version, count in versions.items() if count > 1]
    dates = []
    for section in sections[1:]:
        if not VERSION.fullmatch(section.version) or not _is_date(section.released):
            found.append(f"'## {section.heading}' is not of the form '## [1.2.3] - 2026-01-31'")
            continue
        dates.append(section.released)
        if not section.entries:
            found.append(f"{section.version} has no entry")
    if dates != sorted(dates, reverse=True):
        found.append("the newest version does not come first")
    for section in sections:
        found += [f"{section.version}: {fault}" for fault in _faults_below(section.lines)]
    return found


def _faults_below(lines: list[str]) -> list[str]:
    """What is wrong with the headings and entries of one section."""
    found = []
    entries: dict[str, int] = {}
    kind = ""
    for line in lines:
        if line.startswith("### "):
            kind = line.removeprefix("### ").strip()
            if kind not in KINDS:
                found.append(f"'{kind}' is none of {', '.join(KINDS)}")
            if kind in entries:
                found.append(f"'{kind}' is there twice")
            entries.setdefault(kind, 0)
        elif line.startswith("- "):
            if kind:
                entries[kind] += 1
            else:
                found.append(f"no heading says what kind this is: {line}")
    return found + [f"'{kind}' has no entry" for kind, count in entries.items() if count == 0]


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def main() -> int:
    """Check the file, or print a section of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version", nargs="?", help="print what is said of this version")
    version = parser.parse_args().version
    text = CHANGELOG.read_text()
    if version is None:
        found = faults(text)
        print(*(f"{CHANGELOG}: {fault}" for fault in found), sep="\n", end="\n" if found else "")
        return 1 if found else 0
    for section in read_sections(text):
        if section.version == version:
            print(section.text)
            return 0
    print(f"{CHANGELOG} has no section '## [{version}]'", file=sys.stderr)
    return 1


if __name__ == "__main__":
    sys.exit(main())
