"""What /readyz says."""

import pytest

from agent.monitor.observations import (
    NOW,
    START,
    counting_seen,
    in_phase,
    nearness_seen,
    observe,
    runtime_seen,
)
from numa_trio.agent.moment import Moment
from numa_trio.agent.monitor.observation import NearnessSeen
from numa_trio.agent.monitor.readiness import describe_readiness, since
from numa_trio.agent.status import Phase


async def test_ready_when_every_resource_streams() -> None:
    """Ready means that kubelet holds the stream of each resource."""
    observed = observe(in_phase(Phase.STREAMING, 0), in_phase(Phase.STREAMING, 1))
    assert observed.ready
    assert describe_readiness(observed) == (
        "ready: kubelet holds the stream of 2 of 2 resources\n"
        "numa-align/numa-0: streaming since 2026-01-02T03:02:35Z (90 s)\n"
        "numa-align/numa-1: streaming since 2026-01-02T03:02:35Z (90 s)\n"
    )


async def test_no_text_of_kubelets_adds_a_line() -> None:
    """Its message may have newlines and escape sequences; a resource has one line all the same."""
    message = "no\nready: kubelet holds the stream\x1b[2J"
    observed = observe(in_phase(Phase.SERVING, 0, message), kubelet_problem="/\udcff\n: gone")
    _verdict, kubelet, resource = describe_readiness(observed).splitlines()
    assert kubelet == r"kubelet: /\udcff\n: gone"
    assert resource.endswith(r"last trouble: no\nready: kubelet holds the stream\x1b[2J")


@pytest.mark.parametrize(
    ("phase", "missing"),
    [
        (Phase.WAITING, "no socket of ours is served"),
        (Phase.SERVING, "kubelet has not accepted the registration"),
        (Phase.REGISTERED, "kubelet has not opened the ListAndWatch stream"),
    ],
)
async def test_says_of_each_resource_what_is_missing_and_since_when(
    phase: Phase, missing: str
) -> None:
    """One resource that lacks anything makes the whole agent not ready."""
    observed = observe(in_phase(Phase.STREAMING, 0), in_phase(phase, 1, "it was refused"))
    assert not observed.ready
    assert describe_readiness(observed) == (
        "not ready: kubelet lacks the stream of 1 of 2 resources\n"
        "numa-align/numa-0: streaming since 2026-01-02T03:02:35Z (90 s)\n"
        f"numa-align/numa-1: {phase}, not streaming since 2026-01-02T03:02:35Z (90 s):"
        f" {missing}; last trouble: it was refused\n"
    )


async def test_says_why_kubelet_and_sysfs_are_missed() -> None:
    """What keeps all resources back has a line of its own."""
    observed = observe(
        in_phase(Phase.WAITING),
        kubelet_problem="/dp/kubelet.sock does not exist yet",
        topology_problem="/sys is gone",
    )
    _verdict, kubelet, nodes, _resource = describe_readiness(observed).splitlines()
    assert kubelet == "kubelet: /dp/kubelet.sock does not exist yet"
    assert nodes == "NUMA nodes: /sys is gone"


def test_not_ready_before_the_nodes_are_known() -> None:
    """An agent that could not read sysfs yet advertises nothing and is not ready."""
    observed = observe(advertisements=None)
    assert not observed.ready
    assert describe_readiness(observed) == "not ready: the NUMA nodes have not been read yet\n"


def test_not_ready_without_any_resource() -> None:
    """A machine none of whose nodes can be advertised has nothing for kubelet."""
    observed = observe()
    assert not observed.ready
    assert describe_readiness(observed) == "not ready: no NUMA node can be advertised\n"


def test_a_clock_that_jumps_back_makes_no_negative_duration() -> None:
    """Durations come from the clock that never jumps, dates from the wall clock."""
    jumped = Moment(trio=START.trio + 2.54, unix=START.unix - 3600)
    assert since(START, jumped) == "since 2026-01-02T03:02:35Z (2.5 s)"
    assert NOW.seconds_since(Moment(trio=NOW.trio + 1, unix=0)) == 0


async def test_says_how_old_the_counts_are_and_what_is_not_counted() -> None:
    """Kubelet's trouble and what cannot be counted are told, and keep nothing from being ready."""
    reasons = {"numa-0-cpu": "all of its CPUs are reserved"}
    counting = counting_seen(problem="List: no answer within 5 s", reasons=reasons)
    observed = observe(in_phase(Phase.STREAMING), counting=counting)
    assert observed.ready
    assert describe_readiness(observed).splitlines()[2:] == [
        (
            "counting: kubelet last answered at 2026-01-02T03:02:35Z (90 s);"
            " last trouble: List: no answer within 5 s"
        ),
        "not counted: numa-0-cpu: all of its CPUs are reserved",
    ]


async def test_not_ready_before_kubelet_was_asked_what_can_be_counted() -> None:
    """In a rolling update the old instance must not go before the new one has all resources."""
    counting = counting_seen(looked=False, answered=None)
    observed = observe(in_phase(Phase.STREAMING), counting=counting)
    assert not observed.ready
    lines = describe_readiness(observed).splitlines()
    assert lines[0] == "not ready: kubelet has not been asked yet what can be counted"
    assert lines[-1] == "counting: kubelet has not answered yet"


async def test_not_ready_before_names_were_looked_for() -> None:
    """As above: the new instance has all resources before it is ready."""
    observed = observe(in_phase(Phase.STREAMING), nearness=NearnessSeen((), (), looked=False))
    assert not observed.ready
    assert describe_readiness(observed).splitlines()[0] == (
        "not ready: what names stand for has not been looked for yet"
    )


async def test_says_what_names_are_near() -> None:
    """The way to each, why others are not offered, and what is wrong; it is ready all the same."""
    observed = observe(in_phase(Phase.STREAMING), nearness=nearness_seen())
    assert observed.ready
    assert describe_readiness(observed).splitlines()[2:] == [
        "near: NUMA_NEAR: 'cpu=/data': expected another name",
        "near: data: /data → nvme0n1 → 0000:01:00.0 → node 1",
        "not near: fabric: net:eth9: it is not there",
    ]


async def test_the_runtime_is_shown_and_nothing_depends_on_it() -> None:
    """Without it no container is pinned, but every pod is admitted as before."""
    there = observe(in_phase(Phase.STREAMING), runtime=runtime_seen())
    away = observe(
        in_phase(Phase.STREAMING), runtime=runtime_seen(connected=None, problem="it is gone")
    )
    assert there.ready
    assert away.ready
    assert describe_readiness(there).splitlines()[-1] == (
        "pinning: by containerd 2.2.0 since 2026-01-02T03:02:35Z (90 s)"
    )
    assert describe_readiness(away).splitlines()[-1] == (
        "not pinning: /var/run/nri/nri.sock: it is gone"
    )
