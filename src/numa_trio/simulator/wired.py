"""A story of two servers whose disks hang on different NUMA nodes, and of one pod for both."""

from pathlib import Path

import trio
from attrs import evolve, frozen

from numa_trio.near.source import NearSource
from numa_trio.plugin.resource import NumaResource
from numa_trio.settings import BadConfiguration, load_settings
from numa_trio.simulator.counted_pods import with_counts
from numa_trio.simulator.ideal import Offer
from numa_trio.simulator.near_offer import look_at, near_offer
from numa_trio.simulator.record import Named, Observer
from numa_trio.simulator.scenario_run import Phase, ScenarioReport, play
from numa_trio.simulator.scenarios import Scenario, Step, container_for, room_of_nodes
from numa_trio.simulator.trial import Setup
from numa_trio.simulator.wiring import Attached, Kind, with_addresses
from numa_trio.topology.lists import format_list
from numa_trio.workloads.pod import ContainerKind, Pod

TARGET = "/var/lib/elasticsearch"
NEAR = f"data=mount:{TARGET}"

_SERVERS = ("server-a", "server-b")
_DISK = "nvme0n1"


@frozen
class Server:
    """A server of the story, whose disk hangs on `disk_node`."""

    name: str
    setup: Setup
    disk_node: int


@frozen
class WiredStory:
    """The servers, and what happens on each: a pod for `near`, another for a node's `number`."""

    servers: tuple[Server, ...]
    near: NumaResource
    number: NumaResource
    scenario: Scenario

    @property
    def by_disk(self) -> Pod:
        """The pod that should be where the disk is."""
        return self.scenario.pods[0]


def plan_wired(setup: Setup) -> WiredStory:
    """The story on two machines as in the setup, with another disk in place of their devices.

    The setup's agent must be told `NEAR`. Raises `BadConfiguration` if there are no two NUMA nodes
    with room for the pods.
    """
    rooms = room_of_nodes(setup.machine, setup.config, setup.offer)
    number = max(setup.offer.slots, key=lambda each: rooms[each])
    other = next((each for each in setup.offer.slots if each != number and rooms[each]), None)
    if rooms[number] < 2 or other is None:
        raise BadConfiguration(
            f"--scenario wired: {setup.machine.name} needs a NUMA node with two CPUs that kubelet"
            " can give away, and another with one; choose another machine, or reserve fewer CPUs"
        )
    nodes = (other.numa_nodes[0], number.numa_nodes[0])
    servers = tuple(_server(*each, setup) for each in zip(_SERVERS, nodes, strict=True))
    offer = servers[0].setup.offer
    (near,) = offer.near
    steps = (_step("by-disk", near, offer), _step("by-number", number, offer))
    title = "One pod for the NUMA node of its disk, on two servers that are wired differently"
    return WiredStory(servers, near, number, Scenario("wired", title, nodes[1], steps))


async def play_wired(
    story: WiredStory, directory: Path, observer: Observer
) -> tuple[ScenarioReport, ...]:
    """Run the servers one after the other, each in a folder of its name in an empty directory."""
    start = trio.current_time()
    reports = []
    for server in story.servers:
        folder = directory / server.name
        folder.mkdir()
        named = Named(server.name, observer, after=trio.current_time() - start)
        report = await play(story.scenario, server.setup, folder, named)
        found = [*report.problems, *misplaced(story, server, report)]
        report.problems = [f"{server.name}: {problem}" for problem in found]
        reports.append(report)
    return tuple(reports)


def misplaced(story: WiredStory, server: Server, report: ScenarioReport) -> list[str]:
    """In what the pod for the disk is not where the machine has the disk; a sentence each.

    Where the topology policy does not align, it need only be told.
    """
    if not report.outcomes:
        return []  # that it came to nothing is a problem already
    state = report.outcomes[0].pods[story.by_disk.name]
    if state.phase is not Phase.RUNNING:
        return [f"{story.by_disk.name} is {state.phase}"]
    (app,) = state.verdict.placements
    nodes = {cpu.node for cpu in server.setup.machine.cpus if cpu.id in app.cpus}
    told = app.environment.get("NUMA_NODE")
    placed = nodes == {server.disk_node} or not server.setup.config.aligns
    if placed and told == str(server.disk_node):
        return []
    there = f"CPUs of node {format_list(nodes)} and NUMA_NODE={told}"
    return [f"{story.by_disk.name} has {there}, but {TARGET} is on node {server.disk_node}"]


def _server(name: str, node: int, setup: Setup) -> Server:
    disk = Attached(Kind.DISK, _DISK, node, mount=TARGET)
    machine = evolve(setup.machine, wiring=tuple(with_addresses([disk])))
    settings = load_settings(setup.variables)
    names = NearSource(settings.near).names()
    near = near_offer(look_at(machine, names, settings.near_unknown), settings)
    return Server(
        name,
        evolve(
            setup,
            machine=machine,
            offer=evolve(setup.offer, near=near.slots),
            sysfs_root=None,
            remarks=near.remarks,
        ),
        node,
    )


def _step(name: str, slots: NumaResource, offer: Offer) -> Step:
    pod = with_counts(Pod(name, (container_for("app", 1, ContainerKind.APP, slots),)), offer)
    return Step(f"{name} is created", creates=(pod,))
