"""numa-trio.pyz, built and run with each Python that is there."""

import ast
import json
import os
import shutil
import subprocess
import sys
import urllib.request
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import numa_trio
from agent_process import AgentProcess
from grpcio_kubelet import GrpcioKubelet
from packages.build import ROOT, build_zipapp, output_of

pytestmark = pytest.mark.slow

VERSIONS = ("3.11", "3.12", "3.13")
TREE = sys.implementation.cache_tag

# Imports all that the agent imports, with the site-packages of this machine in reach, and prints
# what does not come from the folder of bytecode.
IMPORTS = """
import runpy, sys
archive, tree = sys.argv.pop(1), sys.argv.pop(1)
before = set(sys.modules)
try:
    runpy.run_path(archive, run_name="__main__")
except SystemExit:
    pass
import numa_trio.agent.service, numa_trio.logs, numa_trio.settings, yaml
files = {name: getattr(sys.modules[name], "__file__", None) or "" for name in sys.modules}
ours = {name for name, file in files.items() if "/fd/" in file}
others = {name for name, file in files.items() if "-packages/" in file} - before
print("from the zip:", *ours & {"numa_trio", "greenlet"})
print("not from the bytecode:", *(name for name in ours if f"/{tree}/" not in files[name]))
print("of this machine:", *others)
"""


# Prints which of the modules cannot be found.
FINDS = """
import importlib.util, runpy, sys
archive, wanted = sys.argv.pop(1), sys.argv[2:]
del sys.argv[2:]
try:
    runpy.run_path(archive, run_name="__main__")
except SystemExit:
    pass
print(*(name for name in wanted if importlib.util.find_spec(name) is None), sep="\\n", end="")
"""


def pythons() -> dict[str, str]:
    """The Pythons that can run it, by version, as scripts/build-zipapp finds them."""
    found = {f"{sys.version_info[0]}.{sys.version_info[1]}": sys.executable}
    for version in VERSIONS:
        known = sorted((Path.home() / ".pyenv/versions").glob(f"{version}.*/bin/python"))
        program = str(known[-1]) if known else shutil.which(f"python{version}")
        if program and version not in found:
            found[version] = program
    return found


def command(pyz: Path, *arguments: str | Path, python: str = sys.executable) -> list[str]:
    return [python, "-IS", *map(str, (pyz, *arguments))]


@pytest.fixture
def kubelet(tmp_path: Path) -> Iterator[GrpcioKubelet]:
    kubelet = GrpcioKubelet(tmp_path / "plugins")
    kubelet.directory.mkdir()
    kubelet.start()
    yield kubelet
    kubelet.stop()


@pytest.mark.parametrize("version", pythons())
def test_all_commands_run(pyz: Path, version: str, tmp_path: Path) -> None:
    """The machine is shown, and a simulation with an agent of its own ends as it should."""
    python = pythons()[version]
    assert output_of(*command(pyz, "--version", python=python)) == (
        f"numa-trio {numa_trio.__version__}"
    )
    shown = json.loads(output_of(*command(pyz, "topology", "--output=json", python=python)))
    assert shown["nodes"]
    pod = ROOT / "examples/pinned-pod.yaml"
    output_of(*command(pyz, "simulate", "--pod", pod, python=python), TMPDIR=str(tmp_path))
    bad = shutil.copy(ROOT / "examples/init-container-without-the-node.yaml", tmp_path)
    linted = subprocess.run(
        command(pyz, "lint", "--fix", bad, python=python),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (linted.returncode, linted.stderr) == (1, "")  # there are things it does not mend
    assert "Fixed NA004" in linted.stdout
    asked = subprocess.run(
        command(pyz, "health", python=python), env={"NUMA_HTTP_ADDR": "127.0.0.1:9"}, check=False
    )
    assert asked.returncode == 1  # nobody answers


def imported_by(package: Path) -> set[str]:
    """Each module that is imported somewhere, now or later."""
    found = set()
    for path in package.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                found |= {alias.name for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                found.add(node.module)
    return found


def test_all_that_is_imported_somewhere_can_be(pyz: Path) -> None:
    """Nothing that a command needs at last was left out."""
    wanted = sorted(imported_by(Path(numa_trio.__file__).parent) - {"_typeshed"})
    assert {"ruamel.yaml", "rich.console"} <= set(wanted)
    found = output_of(sys.executable, "-Ic", FINDS, pyz, "--version", *wanted)
    assert found.splitlines()[1:] == []


def test_there_is_bytecode_for_each_python(pyz: Path) -> None:
    """None of those that are installed was missed, and nothing is for one architecture only."""
    with zipfile.ZipFile(pyz) as packed:
        names = packed.namelist()
    folders = {name.partition("/")[0] for name in names}
    trees = {f"cpython-{version.replace('.', '')}" for version in pythons()}
    assert folders - {"__main__.py", "licences", "source"} == trees
    assert [name for name in names if name.endswith(".so")] == []


def test_the_agent_is_not_compiled_at_its_start(pyz: Path) -> None:
    """All modules are from the bytecode of this Python, and none from its site-packages."""
    code = ["-Ic", IMPORTS, str(pyz), TREE, "--version"]
    found = output_of(sys.executable, *code).splitlines()[1:]
    assert sorted(found.pop(0).split()[3:]) == ["greenlet", "numa_trio"]
    assert found == ["not from the bytecode:", "of this machine:"]


def test_a_python_without_bytecode_runs_the_source(pyz: Path, tmp_path: Path) -> None:
    """As where the file was built without that Python."""
    less = tmp_path / "less.pyz"
    with zipfile.ZipFile(pyz) as packed, zipfile.ZipFile(less, "w") as copy:
        for name in packed.namelist():
            if not name.startswith("cpython-"):
                copy.writestr(name, packed.read(name))
    shown = output_of(*command(less, "run", "--help"))
    assert shown == output_of(*command(pyz, "run", "--help"))
    assert "NUMA_CAPACITY" in shown


def test_registers_with_kubelet(pyz: Path, kubelet: GrpcioKubelet) -> None:
    """The agent from the file does what it is for."""
    with AgentProcess(kubelet.directory, program=command(pyz)) as agent:
        kubelet.wait_for(lambda: bool(kubelet.allocatable()), "a resource with devices")
        assert agent.terminate() == 0


def test_an_update_leaves_the_running_agent_its_modules(pyz: Path, tmp_path: Path) -> None:
    """What is imported later comes from the file that was started, though another has its name."""
    file = Path(shutil.copy(pyz, tmp_path / "numa-trio.pyz"))
    names = tmp_path / "near.yaml"
    settings = {
        "NUMA_NEAR_FILE": str(names),
        "NUMA_HTTP_ADDR": "127.0.0.1:0",
        "NUMA_TOPOLOGY_INTERVAL": "1",
    }
    with AgentProcess(tmp_path, program=command(file), **settings) as agent:
        address = agent.wait_for_log("HTTP on ")["message"].removeprefix("HTTP on ")
        other = tmp_path / "other"
        other.write_bytes(b"#!/bin/false\n" * 100_000)
        other.rename(file)
        names.write_text("here: mount:/\n")  # is read with PyYAML, which was not needed so far
        agent.wait_for_log("near-here")
        with urllib.request.urlopen(f"http://{address}/", timeout=10) as answer:
            assert b"<style" in answer.read()
        assert agent.terminate() == 0


def test_built_elsewhere_and_later_it_is_the_same(pyz: Path, tmp_path: Path) -> None:
    """Another folder, another date of the files and another umask change no byte."""
    listed = output_of("git", "-C", ROOT, "ls-files", "-co", "--exclude-standard").splitlines()
    there = tmp_path / "checkout"
    for name in listed:
        if (source := ROOT / name).is_file():
            (there / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(source, there / name, follow_symlinks=False)
    epoch = output_of("git", "-C", ROOT, "log", "-1", "--format=%ct")
    before = os.umask(0o077)
    try:
        with pytest.MonkeyPatch.context() as changed:
            changed.setenv("SOURCE_DATE_EPOCH", epoch)
            again = build_zipapp(tmp_path / "again.pyz", there)
    finally:
        os.umask(before)
    assert again.read_bytes() == pyz.read_bytes()
