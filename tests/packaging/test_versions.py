"""The version is the same wherever it is written."""

import re
from pathlib import Path

import pytest

from numa_trio import __version__

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize(
    ("file", "pattern", "times"),
    [
        ("deploy/kustomize/base/kustomization.yaml", r"newTag: (\S+)", 1),
        ("deploy/kustomize/README.md", r"newTag: (\S+)", 2),
        ("deploy/kustomize/README.md", r"\?ref=v([\d.]+\d)", 3),
        ("docs/distributions/README.md", r"numa-trio:(\d[^`]*)`", 1),
        ("docs/alerts.md", r"/blob/v([^/]+)/", 1),
    ],
)
def test_examples_name_the_version(file: str, pattern: str, times: int) -> None:
    """What is shipped and what a reader copies: a release changes all of them together."""
    found = re.findall(pattern, (ROOT / file).read_text())
    assert found == [__version__] * times
