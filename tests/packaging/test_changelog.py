"""CHANGELOG.md has the form of Keep a Changelog, and what departs from it is told."""

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "scripts/changelog.py"

GOOD = """\
# Changelog

## [Unreleased]

## [1.1.0] - 2026-02-28

Some words.

### Added

- A thing
  of two lines.

## [1.0.0] - 2026-01-31

### Fixed

- A fault.

[1.0.0]: https://example.com/1.0.0
"""


def changelog(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, SCRIPT, *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )


def test_ours_has_the_form() -> None:
    """The file of this repository."""
    done = changelog(ROOT)
    assert (done.returncode, done.stdout) == (0, "")


def test_a_version_is_printed_as_it_is_written(tmp_path: Path) -> None:
    """Its section without the heading, and without the definitions of links; else a refusal."""
    (tmp_path / "CHANGELOG.md").write_text(GOOD)
    assert changelog(tmp_path).returncode == 0
    assert changelog(tmp_path, "1.0.0").stdout == "### Fixed\n\n- A fault.\n"
    missing = changelog(tmp_path, "1.2.0")
    assert (missing.returncode, missing.stdout) == (1, "")
    assert "no section '## [1.2.0]'" in missing.stderr


@pytest.mark.parametrize(
    ("old", "new", "fault"),
    [
        ("# Changelog", "# Changes", "the first line is not '# Changelog'"),
        ("## [Unreleased]\n", "", "the first section is not '## [Unreleased]'"),
        ("[Unreleased]", "Unreleased", "the first section is not '## [Unreleased]'"),
        ("## [1.1.0] - 2026-02-28", "## [1.1.0]", "'## [1.1.0]' is not of the form"),
        ("## [1.1.0] - 2026-02-28", "## 1.1.0 - 2026-02-28", "'## 1.1.0 - 2026-02-28' is not"),
        ("2026-02-28", "2026-02-30", "'## [1.1.0] - 2026-02-30' is not of the form"),
        ("2026-02-28", "20260228", "'## [1.1.0] - 20260228' is not of the form"),
        ("[1.1.0] -", "[1.1] -", "'## [1.1] - 2026-02-28' is not of the form"),
        ("2026-02-28", "2026-01-30", "the newest version does not come first"),
        ("[1.1.0] -", "[1.0.0] -", "1.0.0 has 2 sections"),
        ("- A fault.", "A fault.", "1.0.0 has no entry"),
        ("- A fault.\n", "- A fault.\n\n### Added\n", "1.0.0: 'Added' has no entry"),
        ("### Fixed", "### Repaired", "1.0.0: 'Repaired' is none of Added, Changed,"),
        ("Some words.", "- Some words.", "1.1.0: no heading says what kind this is: - Some"),
        ("  of two lines.\n", "\n### Added\n\n- B\n", "1.1.0: 'Added' is there twice"),
    ],
)
def test_a_fault_is_named(tmp_path: Path, old: str, new: str, fault: str) -> None:
    """One departure from the form, with the version that has it."""
    assert old in GOOD
    (tmp_path / "CHANGELOG.md").write_text(GOOD.replace(old, new, 1))
    done = changelog(tmp_path)
    assert done.returncode == 1
    assert any(line.startswith(f"CHANGELOG.md: {fault}") for line in done.stdout.splitlines())
