"""A run of the whole end-to-end test against the fake cluster."""

from collections.abc import Mapping
from pathlib import Path

from e2e.cluster import Cluster
from e2e.fake_cluster import FakeCluster
from e2e.fake_faults import Fault
from e2e.fake_node import FakeNode
from e2e.journey import Journey
from e2e.kubectl import Kubectl
from e2e.plan import NAMES, Plan
from e2e.report import Result
from e2e.verdicts import Verdict

TWO_NODES = {0: frozenset({0, 1}), 1: frozenset({2, 3})}
COMPONENTS = ("counting", "near")


def cluster_of(
    fake: FakeCluster,
    *,
    components: tuple[str, ...] = COMPONENTS,
    near: Mapping[str, str] = NAMES,
) -> Cluster:
    """The fake as the test sees it, with what is to be deployed to it."""
    plan = Plan(
        overlay=Path("/overlays/kubeadm"),
        image="registry.test/numa-trio:1",
        pod_image="registry.test/numa-trio:1",
        namespace="numa-trio-e2e",
        timeout=60,
        components=tuple(Path("/components") / name for name in components),
        near=near,
    )
    return Cluster(plan, Kubectl(fake.run), fake.sleep, fake.now)


def run(
    fake: FakeCluster,
    *,
    components: tuple[str, ...] = COMPONENTS,
    near: Mapping[str, str] = NAMES,
) -> list[Result]:
    """All results; whatever comes, the fake is cleaned up."""
    cluster = cluster_of(fake, components=components, near=near)
    cluster.prepare()
    try:
        return list(Journey(cluster).results())
    finally:
        cluster.clean_up()


def run_with(*faults: Fault) -> list[Result]:
    """All results of a cluster of one node with these faults."""
    return run(FakeCluster([FakeNode("a", TWO_NODES)], faults=frozenset(faults)))


def found(results: list[Result], verdict: Verdict) -> dict[str, str]:
    """What was seen, by check, of the results with this verdict."""
    chosen = [result for result in results if result.finding.verdict is verdict]
    return {result.check: result.finding.seen for result in chosen}
