"""A commit that is not what its version says is not released, and it is said why."""

import subprocess
import sys
from pathlib import Path

import pytest

SCRIPTS = Path(__file__).resolve().parents[2] / "scripts"
IMAGE = "registry.example.com/infra/numa-trio"

FILES = {
    "src/numa_trio/__init__.py": '"""Ours."""\n\n__version__ = "1.2.0"\n',
    "deploy/kustomize/base/kustomization.yaml": (
        "images:\n  - name: registry.local:5000/numa-trio\n    newTag: 1.2.0\n"
    ),
    "CHANGELOG.md": (
        "# Changelog\n\n## [Unreleased]\n\n## [1.2.0] - 2026-02-28\n\n### Added\n\n- A thing.\n"
    ),
}


def git(checkout: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com", "-c", "tag.gpgSign=false"]
    return subprocess.run(
        ["git", *identity, *arguments], cwd=checkout, capture_output=True, text=True, check=True
    ).stdout


def write(checkout: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        file = checkout / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def commit(checkout: Path) -> None:
    git(checkout, "add", "--all")
    git(checkout, "commit", "--quiet", "--allow-empty", "--message=x", "--no-gpg-sign")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A commit that can be released as 1.2.0."""
    git(tmp_path, "init", "--quiet")
    write(tmp_path, FILES)
    commit(tmp_path)
    return tmp_path


def reasons(
    checkout: Path, version: str = "1.2.0", *options: str, image: str = IMAGE
) -> tuple[int, str]:
    """The exit status of the checks, and what they say."""
    done = subprocess.run(
        [sys.executable, SCRIPTS / "check_release.py", *options, version, image],
        cwd=checkout,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout == ""
    return done.returncode, done.stderr


def test_all_of_one_version_is_released(checkout: Path) -> None:
    """Nothing is said of a clean commit whose files agree."""
    assert reasons(checkout) == (0, "")


def test_a_prerelease_is_released(checkout: Path) -> None:
    """A version with rc, alpha or beta, as Python packages and images can both have it."""
    write(checkout, {name: text.replace("1.2.0", "1.2.0-rc.1") for name, text in FILES.items()})
    commit(checkout)
    assert reasons(checkout, "1.2.0-rc.1") == (0, "")


@pytest.mark.parametrize(
    "version",
    ["1.2", "v1.2.0", "1.02.0", "1.2.0+b", "1.2.0rc1", "1.2.0-x", "", "1.2.0\n", "\u0661.2.0"],
)
def test_what_is_no_version_is_refused(checkout: Path, version: str) -> None:
    """Semantic versions only, without what a tag of an image cannot have."""
    status, said = reasons(checkout, version)
    assert status == 1
    assert said.startswith(f"not released: '{version}' is not a version: write it as 1.2.3")


@pytest.mark.parametrize(
    ("name", "old", "new", "reason"),
    [
        ("src/numa_trio/__init__.py", '"1.2.0"', '"1.1.0"', "has 1.1.0: set it to 1.2.0"),
        ("src/numa_trio/__init__.py", "__version__", "version", "has no version: set it"),
        (
            "deploy/kustomize/base/kustomization.yaml",
            "newTag: 1.2.0",
            'newTag: "1.1.0"',
            "has 1.1.0: set it to 1.2.0",
        ),
        ("CHANGELOG.md", "[1.2.0]", "[1.1.0]", "has no section '## [1.2.0] - <date>'"),
        ("CHANGELOG.md", "2026-02-28", "soon", ": '## [1.2.0] - soon' is not of the form"),
        (
            "CHANGELOG.md",
            "## [1.2.0]",
            "### Fixed\n\n- A fault.\n\n## [1.2.0]",
            "has text below [Unreleased]: move it to [1.2.0]",
        ),
    ],
)
def test_a_file_of_another_version_is_named(
    checkout: Path, name: str, old: str, new: str, reason: str
) -> None:
    """The file, what it has, and what it should have."""
    assert old in FILES[name]
    write(checkout, {name: FILES[name].replace(old, new)})
    commit(checkout)
    status, said = reasons(checkout)
    assert status == 1
    assert said.startswith(f"not released: {name}")
    assert reason in said


@pytest.mark.parametrize("name", ["CHANGELOG.md", "forgotten.txt"])
def test_a_checkout_that_is_not_clean_is_refused(checkout: Path, name: str) -> None:
    """Files that are changed, and files that git does not know."""
    (checkout / name).write_text(FILES.get(name, "") + "\n")
    status, said = reasons(checkout)
    assert status == 1
    assert "the checkout is not clean: commit or remove\n" in said
    assert name in said


def test_a_registry_that_nobody_reaches_is_refused(checkout: Path) -> None:
    """The placeholder of the manifests would be in what users install."""
    status, said = reasons(checkout, image="registry.local:5000/numa-trio")
    assert status == 1
    assert "set REGISTRY" in said


def test_a_version_is_released_once(checkout: Path) -> None:
    """A tag that exists is not moved."""
    git(checkout, "tag", "--annotate", "--message=x", "v1.2.0")
    status, said = reasons(checkout)
    assert status == 1
    assert said == (
        "not released: the tag v1.2.0 exists: a version is released once; take the next number\n"
    )


def test_what_is_tagged_is_the_commit(checkout: Path) -> None:
    """Where the tag is what is built, it must be there, and be what is checked out."""
    assert "the tag v1.2.0 is not there" in reasons(checkout, "1.2.0", "--tagged")[1]
    git(checkout, "tag", "--annotate", "--message=x", "v1.2.0")
    assert reasons(checkout, "1.2.0", "--tagged") == (0, "")
    commit(checkout)
    assert "the tag v1.2.0 is another commit" in reasons(checkout, "1.2.0", "--tagged")[1]


def test_every_reason_is_told_at_once(checkout: Path) -> None:
    """Who repairs one need not come back for the next."""
    write(checkout, {"src/numa_trio/__init__.py": '__version__ = "1.1.0"\n'})
    git(checkout, "tag", "v1.2.0")
    status, said = reasons(checkout, image="registry.local:5000/numa-trio")
    assert status == 1
    assert said.count("not released: ") == 4
