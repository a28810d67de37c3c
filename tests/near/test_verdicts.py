"""What becomes of each name on a machine."""

from pathlib import Path

import pytest

from host_tree import TWO_NODES, HostTree, node
from numa_trio.near.names import entries_in, near_names
from numa_trio.near.unknown_node import UnknownNode
from numa_trio.near.verdicts import NearLook, look
from numa_trio.topology.machine import Machine


@pytest.fixture
def tree(tmp_path: Path) -> HostTree:
    """A disk on each of two nodes, one of no known node, and a card near node 64."""
    (tmp_path / "host").mkdir()
    tree = HostTree(tmp_path)
    for number, place in enumerate((0, 1, -1)):
        card = tree.card(f"0000:0{number}:00.0", node=place)
        tree.disk(f"nvme{number}n1", on=card, number=f"259:{number}")
    tree.card("0000:09:00.0", node=64)
    return tree


def seen(
    tree: HostTree,
    text: str,
    unknown: UnknownNode = UnknownNode.SKIP,
    machine: Machine = TWO_NODES,
    *,
    rooted: bool = True,
) -> NearLook:
    return look(
        tree.survey(machine, rooted=rooted), near_names(*entries_in(text, "NUMA_NEAR")), unknown
    )


def test_name_of_a_disk(tree: HostTree) -> None:
    """It is offered near the disk's node."""
    (verdict,) = seen(tree, "data=nvme1n1").verdicts
    assert verdict.local_name == "near-data"
    assert verdict.numa_nodes == (1,)
    assert verdict.advertised


def test_glob_on_two_nodes_has_two_names(tree: HostTree) -> None:
    """In order of node; the disk of no known node is in neither."""
    first, second = seen(tree, "data=disk:nvme*n1").verdicts
    assert (first.local_name, first.numa_nodes) == ("near-data-0", (0,))
    assert (second.local_name, second.numa_nodes) == ("near-data-1", (1,))
    assert first.given == second.given == "data"


def test_unknown_node_is_skipped_or_any(tree: HostTree) -> None:
    """By policy; the reason says how to have the other."""
    (skipped,) = seen(tree, "data=nvme2n1").verdicts
    assert skipped.reason is not None
    assert "NUMA_NEAR_UNKNOWN=any" in skipped.reason
    assert skipped.certain
    (offered,) = seen(tree, "data=nvme2n1", UnknownNode.ANY).verdicts
    assert offered.advertised
    assert offered.numa_nodes == ()


def test_absent_thing_is_not_offered_whatever_the_policy(tree: HostTree) -> None:
    """So that the scheduler skips the server."""
    (verdict,) = seen(tree, "data=disk:nvme7n1", UnknownNode.ANY).verdicts
    assert not verdict.advertised
    assert verdict.certain


def test_thing_that_cannot_be_seen_is_uncertain(tree: HostTree) -> None:
    """What was so before may be so still."""
    (verdict,) = seen(tree, "data=/data", UnknownNode.ANY, rooted=False).verdicts
    assert not verdict.advertised
    assert not verdict.certain
    assert "NUMA_HOST_ROOT" in (verdict.reason or "")


def test_node_above_kubelets_is_not_offered(tree: HostTree) -> None:
    """Kubelet would refuse each pod."""
    machine = Machine((*TWO_NODES.nodes, node(64, "4")))
    (verdict,) = seen(tree, "card=0000:09:00.0", machine=machine).verdicts
    assert verdict.reason == (
        "it is near node 64; kubelet can align containers to nodes 0 to 63 only"
    )
    assert str(verdict) == f"0000:09:00.0 → node 64: {verdict.reason}"


def test_words_have_the_way_and_what_is_wrong(tree: HostTree) -> None:
    """For people: also why something is near no node, be it offered or not."""
    silent = "the kernel knows no node of 0000:02:00.0 (numa_node is -1)"
    for text, unknown, words in (
        ("data=nvme1n1", UnknownNode.SKIP, "nvme1n1 → 0000:01:00.0 → node 1"),
        ("data=nvme2n1", UnknownNode.ANY, f"nvme2n1: {silent}"),
        (
            "data=nvme2n1",
            UnknownNode.SKIP,
            f"nvme2n1: {silent} (NUMA_NEAR_UNKNOWN=any offers it without a node)",
        ),
    ):
        (verdict,) = seen(tree, text, unknown).verdicts
        assert str(verdict) == words


@pytest.mark.parametrize(
    "text", ["data=disk:nvme*,data-0=nvme1n1", "data-0=nvme1n1,data=disk:nvme*"]
)
def test_written_name_comes_before_a_globs(tree: HostTree, text: str) -> None:
    """In whichever order they were written; the clash is told."""
    found = seen(tree, text)
    by_name = {verdict.name: verdict for verdict in found.verdicts}
    assert set(by_name) == {"data-0", "data-1"}
    assert by_name["data-0"].given == "data-0"
    (problem,) = found.problems
    assert problem.startswith("data=disk:nvme*: near several nodes, one of them by the name data-0")
