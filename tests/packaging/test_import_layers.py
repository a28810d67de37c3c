"""The import rules of pyproject.toml forbid what they are there to forbid."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
LINT_IMPORTS = Path(sys.executable).with_name("lint-imports")
FORBIDDEN = [
    ("agent/discovery.py", "simulator.hints"),
    ("simulator/hints.py", "agent.backoff"),
    ("doctor/examine.py", "simulator.hints"),
    ("doctor/evidence/kernel.py", "doctor.finding"),
    ("plugin/advertising.py", "settings"),
    ("topology/lists.py", "settings"),
    ("kubelet/directory.py", "settings"),
    ("locality/resolve.py", "plugin.resource"),
    ("locality/survey.py", "kubelet.mounts"),
    ("settings.py", "logs"),
]


@pytest.fixture(scope="module")
def verdict(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """On a tree with all of them in it, which counts instead of the installed one."""
    tree = tmp_path_factory.mktemp("tree")
    package = tree / "numa_trio"
    shutil.copytree(ROOT / "src/numa_trio", package, ignore=shutil.ignore_patterns("__pycache__"))
    for importer, imported in FORBIDDEN:
        with (package / importer).open("a") as source:
            source.write(f"\n\nimport numa_trio.{imported}\n")
    return subprocess.run(
        [LINT_IMPORTS, "--no-cache", "--config", ROOT / "pyproject.toml"],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree)},
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize(("importer", "imported"), FORBIDDEN)
def test_an_import_that_runs_upwards_or_aside_is_refused(
    verdict: subprocess.CompletedProcess[str], importer: str, imported: str
) -> None:
    """The agent and the simulator are siblings; the core knows no settings."""
    module = f"numa_trio.{importer.removesuffix('.py').replace('/', '.')}"
    assert verdict.returncode == 1, verdict.stdout + verdict.stderr
    assert f"{module} -> numa_trio.{imported}" in verdict.stdout
