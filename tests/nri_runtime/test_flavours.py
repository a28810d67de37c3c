"""Whose annotations a plugin sees on a container: kubelet's, the runtime's, or the pod's."""

import json
from pathlib import Path
from typing import Any

import pytest

from nri_runtime.cri import Container, Pod
from nri_runtime.flavour import Containerd, CriO, Flavour
from nri_runtime.plugin import open_plugin
from nri_runtime.runtime import open_runtime

KEY = "numa-align/node"
FORGER = Pod("forger", annotations={KEY: "0", "own": "x"})
BY_KUBELET = "io.kubernetes.cri-o.Annotations"


async def shown(tmp_path: Path, flavour: Flavour, pod: Pod, **annotations: str) -> tuple[Any, Any]:
    """The annotations of a pod and of its container, as CreateContainer tells them."""
    async with open_runtime(tmp_path / "nri", flavour=flavour) as runtime:
        await runtime.start()
        async with open_plugin(runtime.socket_path) as plugin:
            await runtime.wait_plugins(1)
            await runtime.create_container(pod, Container("app", annotations=annotations))
            [told] = plugin.told("CreateContainer")
    return told.pod.annotations, told.container.annotations


@pytest.mark.parametrize("flavour", [Containerd(), CriO()], ids=lambda one: one.name)
async def test_what_kubelet_gives_is_the_containers(tmp_path: Path, flavour: Flavour) -> None:
    """And not the pod's."""
    of_pod, of_container = await shown(tmp_path, flavour, Pod("db"), **{KEY: "1"})
    assert of_container[KEY] == "1"
    assert KEY not in of_pod


async def test_containerd_keeps_the_pods_annotations_apart(tmp_path: Path) -> None:
    """By default none is copied."""
    of_pod, of_container = await shown(tmp_path, Containerd(), FORGER)
    assert of_pod[KEY] == "0"
    assert not {KEY, "own"} & set(of_container)


@pytest.mark.parametrize("setting", [(KEY,), ("numa-align/*",)])
async def test_containerd_copies_what_its_setting_names(
    tmp_path: Path, setting: tuple[str, ...]
) -> None:
    """Then a pod can say it of its containers."""
    of_pod, of_container = await shown(tmp_path, Containerd(pod_annotations=setting), FORGER)
    assert of_pod[KEY] == of_container[KEY] == "0"
    assert "own" not in of_container


async def test_cri_o_copies_all_of_the_pods_annotations(tmp_path: Path) -> None:
    """Kubelet's own are to be had as JSON, where a pod cannot write."""
    pod = Pod("forger", annotations={KEY: "0", BY_KUBELET: json.dumps({KEY: "0"})})
    of_pod, of_container = await shown(tmp_path, CriO(), pod, hash="1a2b")
    assert of_pod[KEY] == of_container[KEY] == "0"
    assert json.loads(of_container[BY_KUBELET]) == {"hash": "1a2b"}


@pytest.mark.parametrize(
    "flavour", [Containerd(pod_annotations=(KEY,)), CriO()], ids=lambda one: one.name
)
async def test_a_genuine_annotation_wins(tmp_path: Path, flavour: Flavour) -> None:
    """Where pod and kubelet say different things of a key, kubelet's counts."""
    of_pod, of_container = await shown(tmp_path, flavour, FORGER, **{KEY: "1"})
    assert (of_pod[KEY], of_container[KEY]) == ("0", "1")
    if flavour.name == "cri-o":
        assert json.loads(of_container[BY_KUBELET]) == {KEY: "1"}
