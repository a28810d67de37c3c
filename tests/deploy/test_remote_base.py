"""The overlays and components by the address of a repository, as the README shows it."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
import yaml

from deploy.manifests import KUSTOMIZE, REPOSITORY
from deploy.schemas import NEWEST
from deploy.test_kustomize import assert_sound, one, render, the_container

pytestmark = pytest.mark.kubectl

ADDRESS = "https://git.example.com/infra/numa-trio.git"
README = (KUSTOMIZE / "README.md").read_text()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with the manifests as they are here, and the README's tag."""
    repository = tmp_path / "numa-trio.git"
    shutil.copytree(REPOSITORY / "deploy", repository / "deploy")
    (tag,) = set(re.findall(r"\?ref=(\S+?)'?$", README, re.MULTILINE))
    identity = ["-c", "user.name=x", "-c", "user.email=x@example.com"]
    for command in (
        ["init", "--quiet"],
        ["add", "--all"],
        [*identity, "commit", "--quiet", "--message=x", "--no-gpg-sign"],
        ["tag", tag],
    ):
        subprocess.run(["git", *command], cwd=repository, check=True)
    return repository


def test_a_kustomization_without_a_checkout_renders(repository: Path, tmp_path: Path) -> None:
    """Git clones what the addresses name: nothing in the overlay leads out of the repository."""
    (block,) = (b for b in re.findall(r"```yaml\n(.*?)```", README, re.DOTALL) if ADDRESS in b)
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "kustomization.yaml").write_text(block.replace(ADDRESS, f"file://{repository}"))
    manifests = render(mine)
    assert_sound(manifests, NEWEST)
    container = the_container(one(manifests, "DaemonSet"))
    assert container["image"].startswith("registry.example.com/")
    assert "host-mount-table" in {mount["name"] for mount in container["volumeMounts"]}


def test_an_overlay_renders_by_its_address_alone(repository: Path) -> None:
    """The command of the README gives what the overlay gives in a checkout."""
    (address,) = re.findall(rf"^kubectl kustomize '({ADDRESS}\S+)'$", README, re.MULTILINE)
    done = subprocess.run(
        ["kubectl", "kustomize", address.replace(ADDRESS, f"file://{repository}")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert list(yaml.safe_load_all(done.stdout)) == render(KUSTOMIZE / "overlays/rke2")
