"""A release, from the checks to the tag, in a copy of the checkout; nothing is pushed."""

import os
import subprocess
from pathlib import Path

import pytest
import yaml

from image.conftest import ROOT, trusted_volumes
from image.container import ENVIRONMENT, output_of

pytestmark = [pytest.mark.slow, pytest.mark.kubectl]

VERSION = "99.0.0-rc.1"
IMAGE = "localhost:5999/infra/numa-trio"  # nothing listens there
CHANGELOG = f"""\
# Changelog

## [Unreleased]

## [{VERSION}] - 2026-01-31

### Added

- A thing.
"""
OVERLAYS = sorted(path.name for path in (ROOT / "deploy/kustomize/overlays").iterdir())
FILES = {
    "SHA256SUMS",
    f"numa-trio-{VERSION}-image-{os.uname().machine}.tar",
    f"numa-trio-{VERSION}.cdx.json",
    f"numa-trio-{VERSION}.pyz",
    f"numa-trio-{VERSION}-1.noarch.rpm",
    f"numa-trio_{VERSION}_all.deb",
    "numa_trio-99.0.0rc1-py3-none-any.whl",
    "numa_trio-99.0.0rc1.tar.gz",
    *(f"install-{overlay}.yaml" for overlay in OVERLAYS),
}


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A clone of what is committed, with another version."""
    checkout = tmp_path / "numa-trio"
    output_of("git", "clone", "--quiet", ROOT, checkout)
    for name, before in (
        ("src/numa_trio/__init__.py", "__version__ = "),
        ("deploy/kustomize/base/kustomization.yaml", "    newTag: "),
    ):
        lines = (checkout / name).read_text().splitlines()
        (checkout / name).write_text(
            "\n".join(f'{before}"{VERSION}"' if x.startswith(before) else x for x in lines) + "\n"
        )
    (checkout / "CHANGELOG.md").write_text(CHANGELOG)
    for key, value in (("user.name", "x"), ("user.email", "x@example.com")):
        output_of("git", "-C", checkout, "config", key, value)
    output_of("git", "-C", checkout, "commit", "--quiet", "--all", "--message=x", "--no-gpg-sign")
    return checkout


def test_a_release_has_its_files_and_its_tag(checkout: Path, base: str) -> None:
    """Each file is there and as its checksum says; a second time is refused."""
    environment = ["COMPRESSION=1", f"BASE_IMAGE={base}", "ENGINE=buildah"]
    command = ["env", *environment, checkout / "scripts/release"]
    said = output_of(*command, IMAGE, VERSION, *trusted_volumes())
    try:
        files = checkout / "dist" / VERSION
        assert {path.name for path in files.iterdir()} == FILES
        output_of("env", "--chdir", files, "sha256sum", "--check", "--strict", "SHA256SUMS")
        for overlay in OVERLAYS:
            manifests = list(yaml.safe_load_all((files / f"install-{overlay}.yaml").read_text()))
            (daemonset,) = (each for each in manifests if each["kind"] == "DaemonSet")
            (container,) = daemonset["spec"]["template"]["spec"]["containers"]
            assert container["image"] == f"{IMAGE}:{VERSION}"
            assert daemonset["metadata"]["namespace"]
        tag = output_of("git", "-C", checkout, "cat-file", "tag", f"v{VERSION}")
        assert tag.endswith(f"numa-trio {VERSION}\n\n### Added\n\n- A thing.")
        head = output_of("git", "-C", checkout, "rev-parse", "HEAD")
        assert tag.startswith(f"object {head}\n")
        assert f"to publish it: buildah push {IMAGE}:{VERSION}\n" in said + "\n"
        assert f"to publish it: git push origin refs/tags/v{VERSION}" in said
        again = subprocess.run(
            [*command, IMAGE, VERSION], capture_output=True, text=True, check=False, env=ENVIRONMENT
        )
        assert again.returncode == 1
        assert f"the tag v{VERSION} exists" in again.stderr
    finally:
        output_of("buildah", "rmi", f"{IMAGE}:{VERSION}")
