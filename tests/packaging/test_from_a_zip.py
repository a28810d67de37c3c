"""The package runs from a zip, where its files are no files."""

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import numa_trio

PACKAGE = Path(numa_trio.__file__).parent
CHILD = "numa_trio/simulator/agent_process.py"
# The agent that `simulate` starts says where it came from.
MARK = "import os, pathlib\npathlib.Path(os.environ['MARK']).write_text(__file__)\n"
RUN = (
    "import sys; sys.path[:0] = [sys.argv.pop(1)]; from numa_trio.cli import main; sys.exit(main())"
)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    path = tmp_path / "numa-trio.zip"
    with zipfile.ZipFile(path, "w") as zipped:
        for name in sorted(PACKAGE.rglob("*")):
            if name.is_file() and name.suffix != ".pyc":
                text = name.read_text()
                member = f"numa_trio/{name.relative_to(PACKAGE)}"
                zipped.writestr(member, MARK + text if member == CHILD else text)
        examples = PACKAGE / "simulator/examples"
        # A link in a checkout, which `rglob` does not follow; a folder where it is installed.
        for example in examples.resolve().iterdir() if examples.is_symlink() else ():
            zipped.writestr(f"numa_trio/simulator/examples/{example.name}", example.read_text())
    return path


def test_simulate_and_its_agent_run_from_the_zip(archive: Path, tmp_path: Path) -> None:
    """A machine and the examples are read from it, and the agent that is started comes from it."""
    mark = tmp_path / "mark"
    done = subprocess.run(
        [sys.executable, "-c", RUN, archive, "simulate", "--machine", "sparse"],
        capture_output=True,
        text=True,
        check=False,
        cwd=tmp_path,
        env={**os.environ, "MARK": str(mark)},
    )
    assert done.returncode == 0, done.stdout + done.stderr
    for example in (PACKAGE / "simulator/examples").glob("*-container-*.yaml"):
        (name,) = re.findall(r"^  name: (\S+)$", example.read_text(), re.MULTILINE)
        assert name in done.stdout
    assert mark.read_text() == f"{archive}/{CHILD}"


def test_the_page_has_its_style_from_the_zip(archive: Path) -> None:
    """The style and the script of the page are read beside their module."""
    code = "import numa_trio.agent.monitor.page.document as d; print(d.__file__, len(d._STYLE))"
    done = subprocess.run(
        [sys.executable, "-c", f"import sys; sys.path[:0] = [{str(archive)!r}]; {code}"],
        capture_output=True,
        text=True,
        check=True,
    )
    module, length = done.stdout.split()
    assert module == f"{archive}/numa_trio/agent/monitor/page/document.py"
    assert int(length) == len((PACKAGE / "agent/monitor/page/style.css").read_text())
