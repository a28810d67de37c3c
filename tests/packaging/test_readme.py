"""What README.md says is so."""

import re
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from numa_trio.settings import known_variables, load_settings, variable_name

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
DOCUMENTS = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")]


def settings_table() -> dict[str, str]:
    """The variables of the table and their defaults."""
    return dict(re.findall(r"^\| `(NUMA_\w+)` \| `?([^|`]*)`? \|", README, re.MULTILINE))


def test_settings_table_is_complete() -> None:
    """Every variable that is read is in the table, and no other."""
    assert set(settings_table()) == set(known_variables())


def test_settings_table_has_the_defaults() -> None:
    """A setting with the default that the table tells is as if it were not set."""
    told = {
        name: default
        for name, default in settings_table().items()
        if default not in ("empty", "detected")
    }
    assert load_settings(told) == load_settings({})
    assert load_settings({variable_name("instance"): ""}) == load_settings({})


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_lead_somewhere(document: Path) -> None:
    """Every relative link of a document is a file or folder, its anchor a heading in it."""
    dead = []
    for link in re.findall(r"\]\((?!https?:)([^)\s]+)\)", document.read_text()):
        path, _, anchor = link.partition("#")
        target = (document.parent / path) if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            dead.append(link)
    assert dead == []


def anchors(document: Path) -> set[str]:
    """The anchors that the headings of a Markdown document get."""
    headings = re.findall(r"^#+ (.+)$", document.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_decision_is_in_the_index() -> None:
    """The index lists each page by its title, in order; no number is left out."""
    folder = ROOT / "docs/decisions"
    pages = sorted(folder.glob("0*.md"))
    assert [int(page.name[:4]) for page in pages] == list(range(1, len(pages) + 1))
    titles = [page.read_text().splitlines()[0].removeprefix("# ") for page in pages]
    lines = (folder / "README.md").read_text().splitlines()
    assert [line for line in lines if line.startswith("- ")] == [
        f"- [{title}]({page.name})" for title, page in zip(titles, pages, strict=True)
    ]


def test_every_direct_dependency_is_explained() -> None:
    """docs/dependencies.md has each package that pyproject.toml names."""
    text = (ROOT / "docs/dependencies.md").read_text().lower()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    asked = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    assert [name for each in asked if (name := Requirement(each).name).lower() not in text] == []
