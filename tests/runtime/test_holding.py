"""Which annotation tells what a container holds, on each runtime, and which a pod could forge."""

import json

import pytest

from numa_trio.runtime.holding import NotTrusted, held_nodes
from numa_trio.runtime.messages import Container, Pod, Runtime
from numa_trio.topology.lists import MalformedText

KEY = "numa-align/node"
CONTAINERD = Runtime("containerd", "2.2.0")
CRIO = Runtime("cri-o", "1.34.0")
CRIO_KEEPS = "io.kubernetes.cri-o.Annotations"


def held(
    runtime: Runtime, pod: dict[str, str] | None = None, **of_container: str | None
) -> frozenset[int]:
    annotations = {
        {"node": KEY, "kept": CRIO_KEEPS}[name]: value
        for name, value in of_container.items()
        if value is not None
    }
    return held_nodes(KEY, Pod(annotations=pod or {}), Container(annotations=annotations), runtime)


@pytest.mark.parametrize("runtime", [CONTAINERD, CRIO, Runtime()])
def test_kubelets_word_is_taken(runtime: Runtime) -> None:
    """Kubelet gives the container's runtime what Allocate returned."""
    assert held(runtime, node="1") == {1}
    assert held(runtime, node="0-1") == {0, 1}
    assert held(runtime) == frozenset()


@pytest.mark.parametrize("runtime", [CONTAINERD, CRIO])
def test_a_pods_own_annotation_proves_nothing(runtime: Runtime) -> None:
    """A runtime may have copied it to the container, or kubelet's may have gone before it."""
    with pytest.raises(NotTrusted, match="remove it from the pod"):
        held(runtime, {KEY: "1"}, node="1")
    with pytest.raises(NotTrusted):
        held(runtime, {KEY: "0"}, node="1")
    assert held(runtime, {KEY: "1"}) == frozenset()


def test_cri_o_keeps_kubelets_word_apart() -> None:
    """There the pod's own annotation is copied to each container, and kubelet's is in a JSON."""
    assert held(CRIO, {KEY: "0"}, node="0", kept=json.dumps({KEY: "1"})) == {1}
    assert held(CRIO, {KEY: "0"}, node="0", kept="{}") == frozenset()
    assert held(CRIO, node="1", kept=json.dumps({KEY: 1})) == frozenset()


@pytest.mark.parametrize("kept", ["", "[]", "null", "{", '"x"'])
def test_what_is_no_object_tells_nothing(kept: str) -> None:
    """Then the rule for all runtimes holds."""
    assert held(CRIO, node="1", kept=kept) == {1}
    with pytest.raises(NotTrusted):
        held(CRIO, {KEY: "1"}, node="1", kept=kept)


def test_on_containerd_that_json_may_be_the_pods() -> None:
    """It passes on the annotations of pods that it is configured to."""
    assert held(CONTAINERD, kept=json.dumps({KEY: "1"})) == frozenset()
    with pytest.raises(NotTrusted):
        held(CONTAINERD, {KEY: "1"}, node="1", kept=json.dumps({KEY: "1"}))


@pytest.mark.parametrize("value", ["", "node1", "1;2", "-1", "9" * 12, "1" * 5000])
def test_a_value_that_is_no_list_of_nodes_is_said_to_be_none(value: str) -> None:
    """Whoever wrote it, it was not Allocate."""
    with pytest.raises(MalformedText):
        held(CONTAINERD, node=value)
