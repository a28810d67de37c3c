"""The checks of what the container runtime pins: each can fail, and says why it is skipped."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest
from attrs import evolve

from e2e.burstable import burstable, read_pinning
from e2e.cluster import Machine, Outcome
from e2e.fake_cluster import FakeCluster
from e2e.fake_faults import Fault
from e2e.fake_node import FakeNode
from e2e.fake_run import COMPONENTS, TWO_NODES, cluster_of, found, run
from e2e.kubectl import Kubectl
from e2e.objects import KubeletPolicies, NearReport, PodState
from e2e.pinned import Pinning, is_connected, parse_pinning
from e2e.pods import TELL_PINNING, PodMaker, Probe
from e2e.report import Result, all_well
from e2e.verdicts import Verdict
from numa_trio.agent.moment import Moment
from numa_trio.agent.monitor.observation import RuntimeSeen
from numa_trio.agent.monitor.readiness import runtime_line
from numa_trio.setting_values import PinnedPart

CONNECTED = "pinned by the container runtime: connected"
CPUS, MEMORY = "Burstable pod on NUMA node 1: CPUs", "Burstable pod on NUMA node 1: memory"
BOTH = (PinnedPart.CPUS, PinnedPart.MEMS)


def _run_on(node: FakeNode, *faults: Fault) -> list[Result]:
    """All results where the component `runtime` is deployed."""
    fake = FakeCluster([node], faults=frozenset(faults))
    return run(fake, components=(*COMPONENTS, "runtime"))


def _defaults() -> FakeNode:
    """A node whose kubelet has its default policies."""
    return FakeNode("a", TWO_NODES, topology="none", cpu="none", memory="None")


def _checked(pinning: Pinning, outcome: Outcome, cpu: str = "none") -> list[Result]:
    """The results on one NUMA node, where each pod has that outcome."""
    policies = KubeletPolicies("none", cpu, "None")
    machine = Machine("a", {1: frozenset({2, 3})}, policies, NearReport())
    return list(burstable(machine, pinning, lambda _machine, _probe: outcome))


def _ran(cpus: str, mems: str) -> Outcome:
    log = f"Cpus_allowed_list:\t{cpus}\nMems_allowed_list:\t{mems}\nNUMA_NODE=1\n"
    return Outcome(None, PodState("Succeeded"), log)


def test_burstable_pods_are_pinned_under_default_policies() -> None:
    """On each NUMA node, with CPUs and memory of it and nothing else."""
    results = _run_on(_defaults())
    passed = found(results, Verdict.PASSED)
    assert all_well(results)
    assert passed[CONNECTED] == "pinning: by fake 1.0"
    assert passed["Burstable pod on NUMA node 0: CPUs"] == "CPUs 0-1 of 0-1"
    assert passed[CPUS] == "CPUs 2-3 of 2-3"
    assert passed[MEMORY] == "memory of node 1"


def test_static_managers_and_the_runtime_pin_together() -> None:
    """What kubelet leaves in the shared pool is narrowed; all other checks pass as before."""
    results = _run_on(FakeNode("a", TWO_NODES, pool=frozenset({0, 3})))
    assert all_well(results)
    assert not found(results, Verdict.SKIPPED)
    assert found(results, Verdict.PASSED)[CPUS] == "CPUs 3 of 2-3"


@pytest.mark.parametrize(
    ("fault", "failing"),
    [
        (Fault.RUNTIME_AWAY, CONNECTED),
        (Fault.RUNTIME_AWAY, CPUS),
        (Fault.RUNTIME_AWAY, MEMORY),
        (Fault.RUNTIME_PINS_NO_CPUS, CPUS),
        (Fault.RUNTIME_PINS_NO_MEMORY, MEMORY),
        (Fault.NO_HEALTH, "pinned by the container runtime"),
    ],
)
def test_a_fault_fails_its_check(fault: Fault, failing: str) -> None:
    """Each check can fail, and the run with it."""
    results = _run_on(_defaults(), fault)
    assert failing in found(results, Verdict.FAILED)
    assert not all_well(results)


def test_one_that_is_not_pinned_fails_nothing_else() -> None:
    """CPUs and memory are checked apart from each other."""
    failed = found(_run_on(_defaults(), Fault.RUNTIME_PINS_NO_CPUS), Verdict.FAILED)
    assert set(failed) == {CPUS, CPUS.replace("1", "0")}


def test_where_it_is_off_no_pod_is_made() -> None:
    """Nor has the table any row of it."""
    results = run(FakeCluster([FakeNode("a", TWO_NODES)]))
    assert not [r for r in results if "runtime" in r.check or "Burstable" in r.check]


def test_a_connection_that_comes_late_is_waited_for() -> None:
    """Readiness does not depend on it, so that it may come after the rollout."""
    node = FakeNode("a", TWO_NODES)
    fake, looks = FakeCluster([node], faults=frozenset({Fault.RUNTIME_AWAY})), 0

    def answer(arguments: Sequence[str], stdin: str | None) -> str:
        nonlocal looks
        looks += TELL_PINNING in arguments
        if looks == 3:
            node.faults = frozenset()
        return fake.run(arguments, stdin)

    cluster = evolve(cluster_of(fake, components=("runtime",), near={}), kubectl=Kubectl(answer))
    pinning = read_pinning(cluster, cluster.deploy(7), "a-1")
    assert (is_connected(pinning).passed, looks) == (True, 3)


def test_cpus_that_are_left_alone_are_not_checked() -> None:
    """With NUMA_NRI=mems memory is, and CPUs may be any."""
    results = _checked(Pinning((PinnedPart.MEMS,), "bind", "pinning: by it"), _ran("0-3", "1"))
    assert "NUMA_NRI is mems" in found(results, Verdict.SKIPPED)[CPUS]
    assert MEMORY in found(results, Verdict.PASSED)


def test_preferred_memory_may_come_from_elsewhere() -> None:
    """It is no bound that a container could show."""
    results = _checked(Pinning(BOTH, "prefer", "pinning: by it"), _ran("2-3", "0-1"))
    assert "prefer" in found(results, Verdict.SKIPPED)[MEMORY]
    assert CPUS in found(results, Verdict.PASSED)


def test_a_shared_pool_of_other_nodes_only_is_skipped() -> None:
    """Kubelet's static CPU Manager may have no CPU of the node left for it; by default it must."""
    pinning, elsewhere = Pinning(BOTH, "bind", "pinning: by it"), _ran("0-1", "1")
    skipped = found(_checked(pinning, elsewhere, "static"), Verdict.SKIPPED)
    assert "shared pool" in skipped[CPUS]
    assert CPUS in found(_checked(pinning, elsewhere), Verdict.FAILED)
    partly = _checked(pinning, _ran("1-2", "1"), "static")
    assert CPUS in found(partly, Verdict.FAILED)


def test_a_container_that_tells_nothing_fails() -> None:
    """An empty log proves nothing."""
    results = _checked(
        Pinning(BOTH, "bind", "pinning: by it"), Outcome(None, PodState("Succeeded"))
    )
    assert {CPUS, MEMORY} <= found(results, Verdict.FAILED).keys()


def test_policies_that_want_guaranteed_pods_are_named() -> None:
    """They are not for this mode; any other denial is a failure."""
    pinning, state = Pinning(BOTH, "bind", "pinning: by it"), PodState("Denied")
    (_, result) = _checked(pinning, Outcome("denied request: NA001: …", state))
    assert (result.finding.verdict, "NA001" in result.finding.seen) == (Verdict.SKIPPED, True)
    (_, result) = _checked(pinning, Outcome("exceeded quota", state))
    assert result.finding.verdict is Verdict.FAILED


def test_the_pod_is_burstable() -> None:
    """Part of a CPU is requested, no CPU and no memory is limited, and the slot is both."""
    pod = PodMaker("ns", "image", "numa-align").probe(
        "p", "a", Probe("app", (1,), guaranteed=False)
    )
    (container,) = pod["spec"]["containers"]
    slot = {"numa-align/numa-1": 1}
    assert container["resources"] == {
        "requests": {"cpu": "100m", "memory": "64Mi", **slot},
        "limits": slot,
    }


@pytest.mark.parametrize("connected", [True, False])
def test_what_the_plugin_says_is_understood(connected: bool) -> None:
    """The lines are those of /readyz, in a plugin that is ready or not."""
    now = Moment(trio=1000.0, unix=1767322955.0)
    seen = RuntimeSeen(
        Path("/run/nri.sock"), now if connected else None, "containerd 2.2.0", "it is gone", 1, {}
    )
    line = runtime_line(seen, now)
    text = f"NUMA_NRI=cpus,mems\nNUMA_MEMORY_POLICY=prefer\nnot ready: …\n{line}\n"
    assert parse_pinning(text) == Pinning(BOTH, "prefer", line)
    assert is_connected(parse_pinning(text)).passed is connected


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, Pinning()),
        ({"NUMA_NRI": "mems", "NUMA_MEMORY_POLICY": "prefer"}, Pinning(BOTH[1:], "prefer")),
    ],
)
def test_the_script_tells_the_settings(
    environment: dict[str, str], expected: Pinning, tmp_path: Path
) -> None:
    """Where the plugin is not ready, and where nothing is set, it ends well and tells them."""
    health = tmp_path / "numa-trio"
    health.write_text("#!/bin/sh\necho not ready: nothing is known\nexit 1\n")
    health.chmod(0o755)
    said = subprocess.run(
        ["/bin/sh", "-c", TELL_PINNING],
        env={"PATH": f"{tmp_path}:{os.environ['PATH']}", **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    assert parse_pinning(said.stdout) == expected


def test_what_says_no_setting_is_not_understood() -> None:
    """Anything else than the script's output is an error, not `off`."""
    with pytest.raises(ValueError, match="no NUMA_NRI="):
        parse_pinning("ready: kubelet holds the stream of 2 of 2 resources\n")
