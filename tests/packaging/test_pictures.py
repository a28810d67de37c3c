"""The pictures in docs/pictures: each is explained, small, and says what the commands say now."""

import argparse
import importlib
import os
import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from numa_trio.commands.simulate_near import with_near
from numa_trio.commands.simulate_options import add_arguments
from numa_trio.commands.simulate_plan import read_setup
from numa_trio.simulator.ideal import IdealCluster
from numa_trio.topology.lists import format_list
from numa_trio.workloads.manifest import load_manifests

ROOT = Path(__file__).resolve().parents[2]
FOLDER = ROOT / "docs/pictures"
PICTURES = [path for path in sorted(FOLDER.iterdir()) if path.suffix in (".svg", ".png")]
MOST_BYTES = {".svg": 150_000, ".png": 200_000}
SVG = "{http://www.w3.org/2000/svg}"


def texts(picture: Path) -> list[str]:
    """What is written in a drawing."""
    return ["".join(each.itertext()) for each in ET.parse(picture).iter(f"{SVG}text")]


@pytest.mark.parametrize("picture", PICTURES, ids=lambda path: str(path.name))
def test_each_picture_is_explained_shown_and_small(picture: Path) -> None:
    """The folder's README says how it was made, and a page shows it with words for the blind."""
    assert f"[{picture.name}]({picture.name})" in (FOLDER / "README.md").read_text()
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")]
    shown = re.compile(rf"!\[[^\]]{{20,}}\]\([^)]*pictures/{re.escape(picture.name)}\)")
    assert any(shown.search(page.read_text()) for page in pages)
    assert picture.stat().st_size < MOST_BYTES[picture.suffix]


@pytest.mark.parametrize("name", ["simulate.svg", "server.svg", "topology.svg"])
def test_a_drawing_loads_nothing(name: str) -> None:
    """Neither fonts nor scripts nor pictures from elsewhere."""
    text = (FOLDER / name).read_text().replace("http://www.w3.org/2000/svg", "")
    assert not re.search(r"https?:|url\(|<script|<image|href", text)
    assert "<title" in text


async def test_the_server_is_what_the_simulator_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its pods are where kubelet puts those of pods.yaml, and the machine's devices are there."""
    for name in [name for name in os.environ if name.startswith("NUMA_")]:
        monkeypatch.delenv(name)
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    arguments = parser.parse_args([])
    setup = with_near(arguments, read_setup(arguments))
    cluster = IdealCluster.create(setup.machine, setup.config, setup.offer)
    written = texts(FOLDER / "server.svg")
    for pod in load_manifests([FOLDER / "pods.yaml"], replicas=1).pods:
        (placement,) = (await cluster.admit(pod)).placements
        node = placement.environment["NUMA_NODE"]
        place = written.index(pod.name)
        assert written[place + 1].removesuffix(": 1") in placement.devices
        assert written[place + 2] == f"NUMA_NODE={node}, CPUs {format_list(placement.cpus)}"
    for attached in setup.machine.wiring:
        assert attached.name in written
    for node in setup.machine.machine.nodes:
        assert f"NUMA node {node.id}" in written
        assert {str(cpu) for cpu in node.cpus} <= set(written)


def test_the_topology_is_what_the_command_says(monkeypatch: pytest.MonkeyPatch) -> None:
    """The picture, and the text in docs/topology.md, byte for byte."""
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    show_topology = importlib.import_module("pictures.topology").show_topology
    assert (FOLDER / "topology.svg").read_text() == show_topology("svg")
    assert f"```text\n{show_topology('text')}```" in (ROOT / "docs/topology.md").read_text()


@pytest.mark.slow
def test_the_script_makes_them_all(tmp_path: Path) -> None:
    """The drawing of the server byte for byte; the others differ in times and process ids."""
    script = ROOT / "scripts/make-pictures"
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    command = [sys.executable, script, "--into", tmp_path]
    subprocess.run(command, check=True, env={**os.environ, "PATH": path})
    assert sorted(path.name for path in tmp_path.iterdir()) == [path.name for path in PICTURES]
    assert (tmp_path / "server.svg").read_bytes() == (FOLDER / "server.svg").read_bytes()
    shape = re.compile(r"\d+\.\d+|process \d+|\ba\d+\b")
    made, kept = (texts(folder / "simulate.svg") for folder in (tmp_path, FOLDER))
    assert sorted(shape.sub("", text) for text in made) == sorted(shape.sub("", t) for t in kept)
    assert (tmp_path / "page.png").read_bytes().startswith(b"\x89PNG")
