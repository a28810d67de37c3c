"""What doctor prints of a wrong host of each kind, as kept in tests/doctor/golden.

`python tests/doctor_golden.py` writes the files anew; look at the difference before committing.
"""

import contextlib
import io
import json
import os
import re
import tempfile
from pathlib import Path
from unittest.mock import patch

from doctor_hosts import HOSTS, Host
from numa_trio.cli import main

GOLDEN = Path(__file__).parent / "doctor/golden"
WIDTHS = (80, 200)


class Terminal(io.StringIO):
    """Standard output as a terminal."""

    def isatty(self) -> bool:
        return True


def wrong_host(folder: Path, distribution: str) -> Host:
    """Without alignment, and with half a GiB more for the system than for the NUMA nodes."""
    host = Host.of(folder, distribution)
    for path in HOSTS[distribution][1]:
        content = (host.folder / path.lstrip("/")).read_text()
        spoilt = content.replace("single-numa-node", "none")
        spoilt = spoilt.replace("memory=1Gi", "memory=1536Mi").replace("924Mi", "1436Mi")
        if spoilt != content:
            host.write(path, spoilt)
    return host


def printed(root: Path, width: int, **environment: str) -> str:
    """What a person sees in a terminal that is so wide."""
    terminal = Terminal()
    variables = {"COLUMNS": str(width), "TERM": "xterm", **environment}
    with patch.dict(os.environ, variables), contextlib.redirect_stdout(terminal):
        assert main(["doctor", "--root", str(root)]) in (0, 1)
    return terminal.getvalue()


def plain(text: str) -> str:
    """The text without colours, and without blanks that end lines."""
    return re.sub(r"[ ]+$", "", re.sub(r"\x1b\[[0-9;]*m", "", text), flags=re.MULTILINE)


def document(root: Path) -> str:
    """What a program gets."""
    output = io.StringIO()
    with contextlib.redirect_stdout(output):
        main(["doctor", "--root", str(root), "--output", "json"])
    return json.dumps(json.loads(output.getvalue()), indent=1) + "\n"


def outputs(distribution: str, folder: Path) -> dict[str, str]:
    """Each golden file of a distribution, and what it should hold."""
    root = wrong_host(folder, distribution).as_captured()
    found = {f"{distribution}.{width}.txt": plain(printed(root, width)) for width in WIDTHS}
    return found | {f"{distribution}.json": document(root)}


def write_golden() -> None:
    for distribution in HOSTS:
        with tempfile.TemporaryDirectory() as folder:
            for name, text in outputs(distribution, Path(folder)).items():
                (GOLDEN / name).write_text(text)


if __name__ == "__main__":
    write_golden()
