"""The story of two servers that are wired in opposite ways, without the agent."""

import json

import pytest
from attrs import evolve
from rich.console import Console

from numa_trio.plugin.counted import Counted
from numa_trio.plugin.resource import NumaResource
from numa_trio.settings import BadConfiguration
from numa_trio.simulator.cpus import SimulatedMachine
from numa_trio.simulator.hints import Policy
from numa_trio.simulator.ideal import IdealCluster, Offer
from numa_trio.simulator.kubelet_config import KubeletConfig
from numa_trio.simulator.machine_file import load_machine, shipped_machines
from numa_trio.simulator.scenario_run import Outcome, Phase, PodState, ScenarioReport
from numa_trio.simulator.trial import Setup
from numa_trio.simulator.wired import NEAR, Server, WiredStory, misplaced, plan_wired
from numa_trio.simulator.wired_report import print_wired, wired_as_object
from simulated import machine

MACHINES = {name: load_machine(path) for name, path in shipped_machines().items()}


def setup(
    simulated: SimulatedMachine,
    counted: tuple[Counted, ...] = (),
    policy: Policy = Policy.SINGLE_NUMA_NODE,
) -> Setup:
    slots = tuple(
        NumaResource.of_node(node.id, 100) for node in simulated.machine.nodes if node.has_cpus
    )
    return Setup(simulated, KubeletConfig(policy), Offer(slots, counted), {"NUMA_NEAR": NEAR})


async def ideal_report(story: WiredStory, server: Server) -> ScenarioReport:
    """What comes of it if all answer as they should."""
    ideal = IdealCluster.create(server.setup.machine, server.setup.config, server.setup.offer)
    report = ScenarioReport()
    states: dict[str, PodState] = {}
    for step in story.scenario.steps:
        for pod in step.creates:
            verdict = await ideal.admit(pod)
            phase = Phase.RUNNING if verdict.admitted else Phase.FAILED
            states[pod.name] = PodState(phase, verdict)
        report.outcomes.append(Outcome(step, dict(states), {}))
    return report


async def told(
    story: WiredStory, played: WiredStory | None = None
) -> tuple[list[ScenarioReport], str]:
    reports = [await ideal_report(story, server) for server in (played or story).servers]
    for server, report in zip(story.servers, reports, strict=True):
        report.problems = misplaced(story, server, report)
    console = Console(width=200)
    with console.capture() as printed:
        print_wired(story, reports, console)
    return reports, printed.get()


async def test_no_word_is_broken_in_a_narrow_window() -> None:
    """With 60 columns each word is what it is with 200, and lines end between them."""
    story = plan_wired(setup(MACHINES["two-by-two"]))
    reports, broad = await told(story)
    console = Console(width=60)
    with console.capture() as printed:
        print_wired(story, reports, console)
    narrow = printed.get()
    assert max(map(len, narrow.splitlines())) <= 60
    words = {word.rstrip(":") for word in broad.split()}
    assert {word.rstrip(":") for word in narrow.split()} - words <= {"─" * 60}


def places(reports: list[ScenarioReport], pod: str) -> list[str | None]:
    """The NUMA_NODE that a pod was told, on each server."""
    states = [report.outcomes[-1].pods[pod] for report in reports]
    return [state.verdict.placements[0].environment.get("NUMA_NODE") for state in states]


@pytest.mark.parametrize("counted", [(), (Counted.CPU, Counted.MEMORY)], ids=["none", "both"])
@pytest.mark.parametrize("name", MACHINES)
async def test_one_pod_fits_both_servers(name: str, counted: tuple[Counted, ...]) -> None:
    """On any machine the pod for the disk is right twice, the one for a number once."""
    story = plan_wired(setup(MACHINES[name], counted))
    nodes = [server.disk_node for server in story.servers]
    reports, printed = await told(story)

    assert len(set(nodes)) == 2
    assert [report.problems for report in reports] == [[], []]
    assert places(reports, "by-disk") == [str(node) for node in nodes]
    assert places(reports, "by-number") == [str(nodes[1])] * 2
    lines = [line.split() for line in printed.splitlines() if line.startswith("by-")]
    assert ["far" in line for line in lines] == [False, False, True, False]
    assert "Real servers do the same." in printed


def test_the_servers_differ_by_their_disk_only() -> None:
    """The machine's own devices do not count; the pods are the same, and so is all else."""
    story = plan_wired(setup(MACHINES["two-node-server"]))
    first, second = story.servers
    assert [
        [(each.name, each.node, each.mount) for each in server.setup.machine.wiring]
        for server in story.servers
    ] == [
        [("nvme0n1", 0, "/var/lib/elasticsearch")],
        [("nvme0n1", 1, "/var/lib/elasticsearch")],
    ]
    assert first.setup.remarks == (
        "near-data: mount:/var/lib/elasticsearch → nvme0n1 → 0000:01:00.0 → node 0",
    )
    alike = evolve(
        second.setup,
        machine=first.setup.machine,
        offer=first.setup.offer,
        remarks=first.setup.remarks,
    )
    assert alike == first.setup


@pytest.mark.parametrize("nodes", [[[0, 1, 2]], [[0, 1], [2]], [[0], [1, 2]]])
def test_two_nodes_need_room(nodes: list[list[int]]) -> None:
    """One has two CPUs to give away, another has one; else that is said."""
    with pytest.raises(BadConfiguration, match="needs a NUMA node with two CPUs"):
        plan_wired(setup(machine(*nodes)))


async def test_pod_far_from_its_disk_is_a_problem() -> None:
    """Where pods are to be aligned, the report says where the pod is, and where the disk."""
    story = plan_wired(setup(MACHINES["two-by-two"]))
    unaligned = plan_wired(setup(MACHINES["two-by-two"], policy=Policy.NONE))
    reports, printed = await told(story, played=unaligned)
    assert [report.problems for report in reports] == [
        [],
        [
            "by-disk has CPUs of node 0 and NUMA_NODE=1, but /var/lib/elasticsearch is on node 1",
        ],
    ]
    assert "Not as it should be: by-disk has CPUs of node 0" in printed
    assert "Real servers do the same." not in printed


async def test_policy_that_does_not_align_is_no_problem() -> None:
    """It is said what it does to each pod, and that real servers do the same."""
    story = plan_wired(setup(MACHINES["two-by-two"], policy=Policy.NONE))
    reports, printed = await told(story)
    assert [report.problems for report in reports] == [[], []]
    assert "server-b: by-disk/app asks for node 1, but its CPUs 1 are elsewhere." in printed
    assert printed.count("The topology manager policy none does not look at NUMA nodes") == 1
    assert "Real servers do the same." in printed
    (_, second) = json.loads(json.dumps(wired_as_object(story, reports)))["servers"]
    assert "by-disk/app asks for node 1, but its CPUs 1 are elsewhere." in second["strays"]


async def test_refused_pod_is_a_problem() -> None:
    """What does not run is nowhere near its disk, and the reason is told."""
    story = plan_wired(setup(MACHINES["two-by-two"]))
    (server, _) = story.servers
    report = await ideal_report(story, server)
    state = report.outcomes[0].pods["by-disk"]
    refused = evolve(state.verdict, placements=(), reason="TopologyAffinityError", message="no")
    report.outcomes = [
        evolve(each, pods={"by-disk": PodState(Phase.FAILED, refused)}) for each in report.outcomes
    ]
    report.problems = misplaced(story, server, report)
    assert report.problems == ["by-disk is Failed"]
    console = Console(width=200)
    with console.capture() as printed:
        print_wired(story, [report, ScenarioReport()], console)
    assert "Failed: TopologyAffinityError" in printed.get()
    assert "server-a: by-disk: TopologyAffinityError: no" in printed.get()


async def test_object_for_programs() -> None:
    """It has the object of a scenario for each server, and where its disk hangs."""
    story = plan_wired(setup(MACHINES["two-by-two"]))
    reports, _ = await told(story)
    document = json.loads(json.dumps(wired_as_object(story, reports)))
    assert (document["scenario"], document["ok"], document["problems"]) == ("wired", True, [])
    first, second = document["servers"]
    assert [(each["server"], each["disk_node"]) for each in (first, second)] == [
        ("server-a", 0),
        ("server-b", 1),
    ]
    assert second["near"] == [{"resource": "numa-align/near-data", "numa_nodes": [1]}]
    assert [pod["name"] for pod in first["steps"][1]["pods"]] == ["by-disk", "by-number"]
