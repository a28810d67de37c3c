"""The manual page that the packages install."""

import re
from pathlib import Path

from numa_trio.cli import build_parser

PAGE = Path(__file__).resolve().parents[2] / "deploy/packages/numa-trio.1"


def test_it_names_each_command() -> None:
    """Those that `numa-trio --help` lists, and no other."""
    commands = PAGE.read_text().partition(".SH COMMANDS")[2].partition(".PP")[0]
    listed = re.findall(r"^\.TP\n\.B (\w+)$", commands, re.MULTILINE)
    known = re.findall(r"^    (\w+) ", build_parser().format_help(), re.MULTILINE)
    assert sorted(listed) == sorted(name for name in known if name.islower())
