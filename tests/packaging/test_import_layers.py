"""The import rules of pyproject.toml forbid what they are there to forbid."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")


def lint(tree: Path) -> subprocess.CompletedProcess[str]:
    """Check a tree that has `numa_trio` in it, which counts instead of the installed one."""
    return subprocess.run(
        [LINT_IMPORTS, "--no-cache", "--config", ROOT / "pyproject.toml"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(
    ("importer", "imported"),
    [
        ("agent/discovery.py", "simulator.hints"),
        ("simulator/hints.py", "agent.backoff"),
        ("plugin/advertising.py", "settings"),
        ("topology/lists.py", "settings"),
        ("kubelet/directory.py", "settings"),
        ("locality/resolve.py", "plugin.resource"),
        ("locality/survey.py", "kubelet.mounts"),
        ("settings.py", "logs"),
    ],
)
def test_an_import_that_runs_upwards_or_aside_is_refused(
    tmp_path: Path, importer: str, imported: str
) -> None:
    """The agent and the simulator are siblings; the core knows no settings."""
    package = tmp_path / "numa_trio"
    shutil.copytree(ROOT / "src/numa_trio", package, ignore=shutil.ignore_patterns("__pycache__"))
    source = package / importer
    source.write_text(f"{source.read_text()}\n\nimport numa_trio.{imported}\n")
    result = lint(tmp_path)
    module = f"numa_trio.{importer.removesuffix('.py').replace('/', '.')}"
    assert result.returncode == 1, result.stdout + result.stderr
    assert f"{module} -> numa_trio.{imported}" in result.stdout
