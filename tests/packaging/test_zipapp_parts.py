"""Parts of numa-trio.pyz and its launcher, without building it: its Pythons, and what is in it."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.specifiers import SpecifierSet

ROOT = Path(__file__).resolve().parents[2]
PARTS = ROOT / "scripts/zipapp"
INSIDE = PARTS / "inside"
LAUNCHER = ROOT / "deploy/packages/numa-trio"
NAME_THE_PYTHONS = {
    "deploy/packages/numa-trio",
    "scripts/build-zipapp",
    "scripts/zipapp/inside/__main__.py",
}
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
VERSIONS = [f"3.{minor}" for minor in range(20)]
SUPPORTED = [each for each in VERSIONS if each in SpecifierSet(PROJECT["requires-python"])]


def launch(directory: Path, **pythons: str) -> subprocess.CompletedProcess[str]:
    """Run the launcher where there are these Pythons: what each says when asked its version."""
    programs = directory / "bin"
    programs.mkdir()
    for name, version in pythons.items():
        program = programs / name.replace("_", ".")
        program.write_text(
            f'#!/bin/sh\ncase $1 in -ISc) echo {version} ;; *) echo "$0" "$@" ;; esac\n'
        )
        program.chmod(0o755)
    return subprocess.run(
        [LAUNCHER, "topology", "a b"],
        capture_output=True,
        text=True,
        check=False,
        env={"PATH": str(programs)},
    )


@pytest.mark.parametrize("version", SUPPORTED)
def test_the_launcher_takes_each_supported_python(tmp_path: Path, version: str) -> None:
    """`python3` is asked first; its site-packages and environment are left out."""
    done = launch(tmp_path, python3=version, python3_11="3.11")
    expected = f"{tmp_path}/bin/python3 -IS /usr/lib/numa-trio/numa-trio.pyz topology a b\n"
    assert (done.returncode, done.stdout, done.stderr) == (0, expected, "")


@pytest.mark.parametrize("version", sorted(set(VERSIONS) - set(SUPPORTED)))
def test_the_launcher_passes_over_other_pythons(tmp_path: Path, version: str) -> None:
    """A server whose python3 is older or newer has another beside it."""
    done = launch(tmp_path, python3=version, python3_12="3.12")
    assert done.stdout.startswith(f"{tmp_path}/bin/python3.12 -IS ")


def test_the_launcher_says_what_it_has_seen(tmp_path: Path) -> None:
    """Without a Python that will do: which there is, which are expected, and status 2."""
    done = launch(tmp_path, python3="3.9")
    assert done.returncode == 2
    assert done.stderr == (
        "numa-trio: python3 is 3.9; expected CPython 3.11, 3.12 or 3.13 as one of python3,"
        f" python3.13, python3.12, python3.11 in {tmp_path}/bin\n"
    )
    assert done.stdout == ""


def test_all_parts_take_the_pythons_of_pyproject() -> None:
    """Each part names the first and the last, and no other number of that kind is in them."""
    for name in NAME_THE_PYTHONS:
        text = (ROOT / name).read_text()
        assert set(re.findall(r"\b3\.1\d\b", text)) == set(SUPPORTED), name


def test_a_misuse_of_greenlet_says_what_is_missing() -> None:
    """What stands in for it can be imported, and fails with a reason when it is used."""
    code = "import greenlet; greenlet.greenlet(print)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", code],
        capture_output=True,
        text=True,
        check=False,
        env={"PYTHONPATH": str(INSIDE)},
    )
    assert done.returncode == 1
    assert "greenlet.greenlet: numa-trio.pyz has no greenlet" in done.stderr


def prepare(directory: Path, *files: str) -> subprocess.CompletedProcess[str]:
    """Choose from an installation that has all that is left out, and these files."""
    installed = directory / "installed"
    left_out = re.findall(r'^    "(\w+)": \(', (PARTS / "prepare.py").read_text(), re.MULTILINE)
    for name in (*left_out, "betterproto2", "other"):
        metadata = installed / f"{name}-1.2.3.dist-info"
        metadata.mkdir(parents=True)
        (metadata / "METADATA").touch()
        (metadata / "LICENSE.txt").write_text(f"that of {name}")
        (metadata / "RECORD").touch()
    for file in ("betterproto2/_version.py", "other/__init__.py", *files):
        (installed / file).parent.mkdir(parents=True, exist_ok=True)
        (installed / file).touch()
    (installed / "betterproto2/_version.py").write_text(
        'from importlib import metadata\n\n__version__ = metadata.version("betterproto2")\n'
    )
    return subprocess.run(
        [sys.executable, PARTS / "prepare.py", installed, directory / "s", directory / "licences"],
        capture_output=True,
        text=True,
        check=False,
    )


def test_the_zip_gets_modules_our_data_and_licences(tmp_path: Path) -> None:
    """Without tests, data of others, and packages that nothing imports."""
    done = prepare(
        tmp_path,
        *("numa_trio/a.yaml", "numa_trio/b.py", "other/data.txt", "other/tests/test_a.py"),
        *("pygments/__init__.py", "yaml/_yaml.cpython-311-x86_64-linux-gnu.so", "bin/other"),
        "shared/name/part.py",
    )
    assert (done.returncode, done.stderr) == (0, "")
    found = {str(path.relative_to(tmp_path / "s")) for path in (tmp_path / "s").rglob("*.*")}
    assert found == {
        *("betterproto2/_version.py", "greenlet.py", "numa_trio/a.yaml", "numa_trio/b.py"),
        *("other/__init__.py", "shared/name/part.py"),
        # For what had none:
        *("betterproto2/__init__.py", "numa_trio/__init__.py"),
        *("shared/__init__.py", "shared/name/__init__.py"),
    }
    assert (tmp_path / "s/betterproto2/_version.py").read_text() == '__version__ = "1.2.3"\n'
    licences = tmp_path / "licences"
    assert {path.name for path in licences.iterdir()} == {"betterproto2-1.2.3", "other-1.2.3"}
    assert {path.name for path in (licences / "other-1.2.3").iterdir()} == {
        "LICENSE.txt",
        "METADATA",
    }


def test_a_compiled_extension_that_nobody_knows_fails_the_build(tmp_path: Path) -> None:
    """A package may get one in a new release, and may not do without."""
    done = prepare(tmp_path, "other/_fast.cpython-311-x86_64-linux-gnu.so")
    assert done.returncode == 1
    assert "other/_fast: compiled extensions cannot be imported from a zip" in done.stderr


def test_the_packages_depend_on_one_of_the_pythons() -> None:
    """Each names all of them; Debian's also takes `python3` of these versions."""
    spec = (ROOT / "deploy/packages/rpm/numa-trio.spec").read_text()
    assert re.findall(r"python\(abi\) = ([\d.]+)", spec) == SUPPORTED
    control = (ROOT / "deploy/packages/deb/control").read_text()
    alternatives = " | ".join(f"python{version}" for version in reversed(SUPPORTED))
    after = VERSIONS[VERSIONS.index(SUPPORTED[-1]) + 1]
    assert (
        f"\nDepends: python3 (>= {SUPPORTED[0]}) | {alternatives},"
        f" python3 (<< {after}) | {alternatives}," in control
    )


@pytest.mark.parametrize("version", ["(2, 7, 18)", "(3, 6, 8)", "(3, 10, 12)", "(3, 14, 0)"])
def test_another_python_is_told_which_it_takes(version: str) -> None:
    """One line with its version and the expected ones, and status 2."""
    start = INSIDE / "__main__.py"
    ast.parse(start.read_text(), feature_version=(3, 4))
    code = (
        "import runpy, sys; sys.version_info = eval(sys.argv[1]); sys.version = sys.argv[2];"
        " runpy.run_path(sys.argv[3], run_name='__main__')"
    )
    done = subprocess.run(
        [sys.executable, "-Sc", code, version, "A.B (of a test)", start],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    assert done.stderr == (
        f"numa-trio: this is Python A.B ({sys.executable}); expected CPython 3.11, 3.12 or 3.13\n"
    )
