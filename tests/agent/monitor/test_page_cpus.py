"""The CPUs on the page: core by core, with who has them, and nothing that nobody knows."""

from attrs import evolve

from agent.monitor.observations import counting_seen, in_phase, node_of, observe
from agent.monitor.page_parser import Page, parse
from numa_trio.agent.counting import Answer
from numa_trio.agent.monitor.observation import Observation
from numa_trio.agent.status import Phase
from numa_trio.plugin.advertising import CpulessNodes, advertise
from numa_trio.plugin.holdings import Allocatable, ContainerHoldings
from numa_trio.topology.cores import Core, Cores
from numa_trio.topology.machine import Machine, NumaNode


def cores_of(*cores: Core) -> Cores:
    return Cores({cpu: core for core in cores for cpu in core.cpus})


# The CPUs 0-3 of node 0 and 4-7 of node 1, two threads a core.
CORES = cores_of(Core((0, 2), 0), Core((1, 3), 0), Core((4, 6), 1), Core((5, 7), 1))


def container(name: str, cpus: set[int], *resources: str) -> ContainerHoldings:
    devices = {resource: (f"{resource}-0",) for resource in resources}
    return ContainerHoldings("default", name, "app", devices, frozenset(cpus))


def answered(*containers: ContainerHoldings, given: set[int] | None = None) -> Observation:
    allocatable = Allocatable(frozenset(range(1, 8) if given is None else given))
    return observe(
        in_phase(Phase.STREAMING, 0),
        in_phase(Phase.STREAMING, 1),
        counting=counting_seen(answer=Answer(allocatable, containers)),
    )


def tiles(page: Page) -> list[list[str]]:
    """The classes of the threads of each core."""
    found: list[list[str]] = []
    for tag, attributes in page.tags:
        if tag == "li" and not attributes:
            found.append([])
        elif tag == "b" and attributes:
            found[-1].append(attributes["class"] or "")
    return [each for each in found if each]


async def test_the_threads_of_a_core_are_together() -> None:
    """Each core is a box of its own, and nobody is said to have it if nobody asked kubelet."""
    page = parse(observe(in_phase(Phase.STREAMING, 0)), CORES)
    assert tiles(page) == [["plain", "plain"], ["plain", "plain"]]
    assert "0 2 1 3" in page.text("node-0")
    assert "is not shown: the agent asks kubelet only where something is counted" in page.text(
        "held"
    )


async def test_says_who_has_each_cpu() -> None:
    """Containers by name, what is shared, and what kubelet keeps."""
    holders = (
        container("web", {1, 3}, "numa-align/numa-0"),
        container("stranger", {4, 6, 7}),
        container("slow", set(), "numa-align/numa-1"),
        container("elsewhere", set(), "other/thing"),
    )
    page = parse(answered(*holders), CORES)
    assert tiles(page) == [["reserved", "shared"], ["h0", "h0"], ["h0", "h0"], ["shared", "h0"]]
    first, second = page.text("node-0"), page.text("node-1")
    assert "default/web app   CPUs 1,3" in first
    assert "shared   CPU 2" in first
    assert "reserved   CPU 0" in first
    assert "default/stranger app   CPUs 4,6-7, without a slot of the node" in second
    assert "default/slow app   a slot, and no CPUs of its own" in second
    assert "slow" not in first
    assert "elsewhere" not in first + second
    assert "as kubelet said: it last answered 1 min ago." in page.text("held")


async def test_containers_beside_each_other_differ_in_colour() -> None:
    """In order of their CPUs, so that a colour comes again only after others."""
    page = parse(answered(container("b", {3}), container("a", {2}), container("c", {1})), CORES)
    assert tiles(page)[:2] == [["reserved", "h1"], ["h0", "h2"]]


async def test_many_containers_are_not_all_named() -> None:
    """A node may have hundreds that have slots; how many are left out is said."""
    holders = [container(f"pod-{n:03}", set(), "numa-align/numa-1") for n in range(100)]
    page = parse(answered(*holders), CORES)
    assert page.text("node-1").count("a slot, and no CPUs of its own") == 64
    assert "36 more containers" in page.text("node-1")


async def test_claims_nothing_where_kubelet_gives_away_no_cpus() -> None:
    """Nor where it has not answered; after its start, that it may not have named all."""
    page = parse(answered(container("web", set(), "numa-align/numa-0"), given=set()), CORES)
    assert {tone for core in tiles(page) for tone in core} == {"plain"}
    assert "web" not in page.text("node-0")
    assert "kubelet's CPU Manager is not static" in page.text("held")
    counting = counting_seen(answered=None)
    silent = parse(observe(in_phase(Phase.STREAMING, 0), counting=counting), CORES)
    assert "is not known: kubelet has not answered yet" in silent.text("held")
    answer = Answer(Allocatable(frozenset({1})), (), complete=False)
    starting = counting_seen(answer=answer)
    early = parse(observe(in_phase(Phase.STREAMING, 0), counting=starting), CORES)
    assert "It had just started, and may not have named all." in early.text("held")


async def test_cores_that_are_unknown_are_not_drawn() -> None:
    """One CPU of which nothing is known is enough; who has the CPUs is said all the same."""
    page = parse(answered(container("web", {1, 3})), cores_of(Core((0, 2), 0), Core((1,), 0)))
    assert tiles(page) == []
    assert "default/web app   CPUs 1,3" in page.text("node-0")


async def test_nodes_are_grouped_by_socket() -> None:
    """Nodes that span sockets together, and at the end those whose socket nobody knows."""
    nodes = (*(node_of(number) for number in range(4)), NumaNode(4, memory_bytes=2**30))
    resources = (in_phase(Phase.STREAMING, number) for number in range(5))
    sockets = {0: (0, 0), 1: (1, 1), 2: (0, 0), 3: (0, 1)}
    by_cpu = {
        cpu: Core((cpu,), sockets[node.id][index // 2])
        for node in nodes
        for index, cpu in enumerate(sorted(node.cpus))
    }
    observed = observe(*resources, advertisements=advertise(Machine(nodes), CpulessNodes.ADVERTISE))
    page = parse(observed, Cores(by_cpu))
    ids = [
        found["id"] for tag, found in page.tags if tag in ("section", "article") and "id" in found
    ]
    assert ids[: ids.index("history")] == [
        "socket-0",
        *("node-0", "node-2"),
        "sockets-0-1",
        "node-3",
        "socket-1",
        "node-1",
        "other-nodes",
        "node-4",
    ]
    unknown = parse(observed)
    assert "NUMA nodes" in unknown.text("numa-nodes")


async def test_hostile_names_of_pods_stay_text() -> None:
    """Kubelet's words are text, never markup."""
    hostile = "<script>alert(1)</script>\"'&"
    clean = parse(answered(container("web", {1, 3})), CORES)
    dirty = container("web", {1, 3})
    page = parse(answered(evolve(dirty, pod=hostile, container=hostile)), CORES)
    assert page.tags == clean.tags
    assert page.text("node-0").count(hostile) == 2
