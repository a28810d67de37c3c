#!/usr/bin/env python3
"""Say why the commit that is checked out cannot be released as a version; silent if it can.

The checkout is clean; the package, the manifests' image and CHANGELOG.md are of that version; and
its tag does not exist. With --tagged, the tag must be there and be this commit. Run at the root of
the checkout; needs nothing but Python and git.
"""

import argparse
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from changelog import CHANGELOG, UNRELEASED, VERSION, faults, read_sections

PACKAGE = Path("src/numa_trio/__init__.py")
MANIFESTS = Path("deploy/kustomize/base/kustomization.yaml")
PLACEHOLDER = "registry.local:5000"


def reasons_against(version: str, image: str, tagged: bool) -> Iterator[str]:
    """Each reason, as a sentence that says what to do."""
    if image.split("/")[0] == PLACEHOLDER:
        yield f"the manifests would name {image}: set REGISTRY to the registry that users can reach"
    if not VERSION.fullmatch(version):
        yield f"'{version}' is not a version: write it as 1.2.3, or 1.2.3-rc.1 (alpha, beta or rc)"
        return
    changed = _git("status", "--porcelain")
    if changed:
        yield f"the checkout is not clean: commit or remove\n{changed}"
    for file, pattern in (
        (PACKAGE, r'^__version__ = "(.*)"$'),
        (MANIFESTS, r'^ *newTag: "?([^"\s]*)"?$'),
    ):
        found = re.findall(pattern, file.read_text(), re.MULTILINE)
        if found != [version]:
            named = ", ".join(found) or "no version"
            yield f"{file} has {named}: set it to {version}"
    yield from _reasons_of_changelog(version)
    tag = f"v{version}"
    commit = _git("rev-parse", "--quiet", "--verify", f"refs/tags/{tag}^{{commit}}")
    if tagged and commit != _git("rev-parse", "HEAD"):
        yield f"the tag {tag} is {'another commit' if commit else 'not there'}: check it out"
    elif commit and not tagged:
        yield f"the tag {tag} exists: a version is released once; take the next number"


def _reasons_of_changelog(version: str) -> Iterator[str]:
    text = CHANGELOG.read_text()
    yield from (f"{CHANGELOG}: {fault}" for fault in faults(text))
    sections = {section.version: section for section in read_sections(text)}
    if version not in sections:
        yield f"{CHANGELOG} has no section '## [{version}] - <date>'"
    if UNRELEASED in sections and sections[UNRELEASED].text:
        yield f"{CHANGELOG} has text below [{UNRELEASED}]: move it to [{version}]"


def _git(*arguments: str) -> str:
    """What git prints; nothing, if what was asked for is not there."""
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    if done.returncode not in (0, 1):
        raise SystemExit(f"git {' '.join(arguments)}: {done.stderr.strip()}")
    return done.stdout.strip()


def main() -> int:
    """Print the reasons, if there are any."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("version")
    parser.add_argument("image", help="the image's name, without a tag, for the manifests")
    parser.add_argument("--tagged", action="store_true", help="the tag is there, and this commit")
    arguments = parser.parse_args()
    reasons = list(reasons_against(arguments.version, arguments.image, arguments.tagged))
    for reason in reasons:
        print(f"not released: {reason}", file=sys.stderr)
    return 1 if reasons else 0


if __name__ == "__main__":
    sys.exit(main())
