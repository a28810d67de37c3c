"""What a test machine tells from boot to power-off."""

import json
import subprocess
from pathlib import Path
from typing import Any, TypeAlias

import pytest
from attrs import frozen

from infra.image import Image
from infra.qemu import Options, command_line, kernel_options, serial_options

# Less than a minute on a machine with two CPUs; the rest is for a very busy one.
LIMIT_SECONDS = 900

Fact: TypeAlias = dict[str, Any]


@frozen
class Observations:
    """What the guest told, and what it printed besides."""

    facts: list[Fact]
    console: str

    def all(self, name: str) -> list[Fact]:
        """The facts of that name."""
        return [fact for fact in self.facts if fact["fact"] == name]

    def one(self, name: str) -> Fact:
        """The only fact of that name; if there is none, the test fails with what there is."""
        found = self.all(name)
        if len(found) != 1:
            told = "\n".join(json.dumps(fact) for fact in self.facts)
            pytest.fail(f"{len(found)} facts {name!r}\n{told}\nThe console:\n{self.console}")
        return found[0]


def observe(observation: str, image: Image, folder: Path, *groups: Options) -> Observations:
    """Run the program `observation` of the image on a machine with these options.

    Programs lie at the same addresses at each start: what QEMU has translated of them serves again,
    which takes a sixth less time.
    """
    console, facts = folder / "console.log", folder / "facts.jsonl"
    words = f"console=ttyS0 quiet panic=-1 norandmaps observation={observation}"
    command = command_line(
        *groups,
        kernel_options(image.kernel, image.initramfs, words),
        serial_options(console, facts),
    )
    try:
        subprocess.run(command, check=True, timeout=LIMIT_SECONDS)
    except subprocess.TimeoutExpired:
        pytest.fail(f"the machine ran for {LIMIT_SECONDS} s\n{_text(facts)}\n{_text(console)}")
    lines = _text(facts).splitlines()
    return Observations([json.loads(line) for line in lines], _text(console))


def _text(file: Path) -> str:
    return file.read_text(errors="replace") if file.exists() else ""
