"""Hosts that several tests look at and none changes."""

from pathlib import Path

import pytest

from host_tree import HostTree


@pytest.fixture
def tree(tmp_path: Path) -> HostTree:
    """A host without anything."""
    (tmp_path / "host").mkdir()
    return HostTree(tmp_path)


@pytest.fixture(scope="session")
def vm(tmp_path_factory: pytest.TempPathFactory) -> HostTree:
    """The machine two-node-vm.yaml; not to be changed."""
    return HostTree.of_machine(tmp_path_factory.mktemp("vm"), "two-node-vm")


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> HostTree:
    """The machine two-node-server.yaml; not to be changed."""
    return HostTree.of_machine(tmp_path_factory.mktemp("server"), "two-node-server")
