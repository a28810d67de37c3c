"""The files in .github: pinned actions, scripts that exist, forms that ask for what helps."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).resolve().parents[2]
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yaml"))
BUG = yaml.safe_load((ROOT / ".github/ISSUE_TEMPLATE/bug.yaml").read_text())

Object = dict[str, Any]


def jobs(workflow: Path) -> dict[str, Object]:
    found: dict[str, Object] = yaml.safe_load(workflow.read_text())["jobs"]
    return found


def steps(workflow: Path) -> list[Object]:
    return [step for job in jobs(workflow).values() for step in job["steps"]]


def test_the_workflows_are_these() -> None:
    """One that tests, and one that releases."""
    assert [path.name for path in WORKFLOWS] == ["release.yaml", "test.yaml"]


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_to_one_commit_each(workflow: Path) -> None:
    """A full commit with the version behind it, the same wherever the action is used."""
    lines = re.findall(r"uses: (.*)", "".join(path.read_text() for path in WORKFLOWS))
    used = [line for line in lines if line.split("@")[0] in workflow.read_text()]
    assert used
    commits: dict[str, set[str]] = {}
    for line in used:
        pinned = re.fullmatch(r"([\w-]+/[\w-]+)@([0-9a-f]{40} # v\d+\.\d+\.\d+)", line)
        assert pinned is not None, line
        commits.setdefault(pinned[1], set()).add(pinned[2])
    assert [action for action, found in commits.items() if len(found) > 1] == []


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_a_job_may_only_what_it_is_given(workflow: Path) -> None:
    """Nothing by default; and what builds cannot write, what writes runs nothing of ours."""
    assert yaml.safe_load(workflow.read_text())["permissions"] == {}
    for name, job in jobs(workflow).items():
        if job["permissions"] == {"contents": "read"}:
            continue
        assert name == "publish"
        assert not any("checkout" in step.get("uses", "") for step in job["steps"])
        assert "scripts/" not in yaml.safe_dump(job)


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.name)
def test_what_it_runs_is_there(workflow: Path) -> None:
    """The scripts, and the recipes of the justfile."""
    commands = "\n".join(step.get("run", "") for step in steps(workflow))
    named = set(re.findall(r"(?:^|\s)((?:scripts|\.ci)/[\w./-]+)", commands))
    recipes = set(re.findall(r"bin/just ([\w-]+)", commands))
    assert named | recipes
    assert [name for name in named if not (ROOT / name).exists()] == []
    justfile = (ROOT / "justfile").read_text()
    assert [each for each in recipes if not re.search(rf"^{each}\b", justfile, re.MULTILINE)] == []


def test_the_other_pythons_are_tested() -> None:
    """Every supported Python that Debian's .ci/run may lack."""
    tested = jobs(ROOT / ".github/workflows/test.yaml")["pythons"]["strategy"]["matrix"]["python"]
    classifiers = re.findall(r"Python :: (3\.\d+)", (ROOT / "pyproject.toml").read_text())
    assert ["3.11", *tested] == classifiers


def test_a_report_names_the_distribution() -> None:
    """The form offers each distribution that has a page."""
    (dropdown,) = (field for field in BUG["body"] if field["type"] == "dropdown")
    *offered, other = dropdown["attributes"]["options"]
    pages = {path.stem for path in (ROOT / "docs/distributions").glob("*.md")} - {"README"}
    assert {option.lower() for option in offered} == pages
    assert other.startswith("another")


def test_a_report_has_what_is_asked_for_first() -> None:
    """Versions, kubelet's settings, the machine, the readiness and the whole log are required."""
    required = {
        field["id"]: field["attributes"].get("description", "")
        for field in BUG["body"]
        if field.get("validations", {}).get("required")
    }
    told = {
        "versions": "kubectl get nodes -o wide",
        "kubelet": "/proxy/configz",
        "topology": "numa-trio topology",
        "readiness": "/readyz",
        "log": "--tail=-1",
    }
    assert required.keys() == {"what", "distribution", *told}
    assert [name for name, text in told.items() if text not in required[name]] == []
