"""What CONTRIBUTING.md says is so."""

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
CI = (ROOT / ".ci/run").read_text()
RECIPE = re.compile(r"^([a-z][\w-]*)(?: [^:\n]*)?:(?!=)(.*)$", re.MULTILINE)
# Each recipe with those that it runs first.
RECIPES = {name: first.split() for name, first in RECIPE.findall((ROOT / "justfile").read_text())}

NOT_IN_CI = {
    "coverage": "runs the tests of README.md once more",
    "deb": "package-test runs its script",
    "e2e": "needs a cluster",
    "mutants": "takes hours",
    "pictures": "tests compare them with what the commands say, and a slow one makes them",
    "proto": "check compares what it would write",
    "release": "release-test runs its script",
    "rpm": "package-test runs its script",
    "requirements": "may take newer releases; CI compares the record of the present ones",
    "slow-test": "its tests are spread over several parts",
    "soak": "takes a quarter of an hour",
    "zipapp": "package-test runs its script",
}


def recipes_to_run() -> set[str]:
    """The recipes that a reader is told to run."""
    commands = re.findall(r"(?:^|`)just ([a-z][a-z0-9 -]*)", CONTRIBUTING, re.MULTILINE)
    return {word for command in commands for word in command.split() if word[0].isalpha()}


def test_the_reading_order_names_files_of_that_length() -> None:
    """Each file is there, and all have about as many lines as the section says."""
    section = CONTRIBUTING.partition("## Read it in this order\n")[2].partition("\n## ")[0]
    files = re.findall(r"^\d+\. `([^`]+)`", section, re.MULTILINE)
    lines = sum(len((ROOT / "src/numa_trio" / file).read_text().splitlines()) for file in files)
    said = re.search(r"about (\d+) lines", section)
    assert len(files) == 8
    assert said is not None
    assert abs(lines - int(said[1])) <= 0.15 * lines, f"they have {lines} lines now"


def test_every_recipe_is_there() -> None:
    """A recipe that a reader is told to run is in the justfile."""
    assert recipes_to_run() >= {"setup", "check", "coverage", "requirements"}
    assert recipes_to_run() - RECIPES.keys() == set()


def test_ci_runs_every_recipe() -> None:
    """What a reader is told to run is run on a bare machine, or it is said here why not."""
    commands = re.findall(r"^ *(?:part|beside) .*'just ([a-z][\w -]*)", CI, re.MULTILINE)
    parts = {word for command in commands for word in command.split() if word in RECIPES}
    run = parts.union(*(RECIPES[part] for part in parts))
    if "readme_command test" in CI:  # the tests that README.md tells to run
        run.add("test")
    run |= {name for name, firsts in RECIPES.items() if firsts and run.issuperset(firsts)}
    assert {"setup", "lint", "test"} <= run
    assert recipes_to_run() - run == NOT_IN_CI.keys()
