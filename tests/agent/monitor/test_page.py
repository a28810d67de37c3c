"""The page, as text: complete, self-contained, and safe whatever it shows."""

from base64 import b64encode
from hashlib import sha256

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from agent.monitor.observations import (
    GIB,
    counting_seen,
    in_phase,
    nearness_seen,
    node_of,
    observe,
    resource_in_phase,
    runtime_seen,
)
from agent.monitor.page_parser import Page, parse
from numa_trio.agent.monitor.page import CONTENT_SECURITY_POLICY, render_page, words
from numa_trio.agent.monitor.page.distances import describe_distances
from numa_trio.agent.monitor.page.durations import format_duration
from numa_trio.agent.monitor.page.markup import element, join
from numa_trio.agent.status import Phase
from numa_trio.plugin.advertising import CpulessNodes, advertise
from numa_trio.plugin.resource import NumaResource
from numa_trio.topology.machine import HugePages, Machine, NumaNode, Remark


async def test_shows_each_node_with_what_it_has() -> None:
    """CPUs, memory, distances, state and slots of a node are on its card."""
    resource = in_phase(Phase.STREAMING, 1)
    resource.counts.allocated([["numa-1-0"]] * 7)
    page = parse(observe(in_phase(Phase.STREAMING, 0), resource))
    card = page.text("node-1")
    for expected in (
        "Node 1",
        "offered",
        "numa-align/numa-1",
        "for 1 min",
        "4: 4-7",
        "8 GiB, 4 GiB free",
        "21 to node 0",
        "100, healthy",
        "to 7 containers since the start",
    ):
        assert expected in card
    assert "ready: kubelet holds the stream of 2 of 2 resources" in page.text("header")
    assert page.text("troubles") == ""


async def test_shows_what_is_missing() -> None:
    """The same trouble of many nodes is told once, at the top, and in each card by its state."""
    waiting = [in_phase(Phase.WAITING, node, "it was removed") for node in range(3)]
    page = parse(observe(*waiting, in_phase(Phase.STREAMING, 3), kubelet_problem="there is none"))
    troubles = page.text("troubles")
    assert "kubelet  there is none" in troubles
    assert "nodes 0-2  no socket of ours is served; last trouble: it was removed" in troubles
    assert troubles.count("it was removed") == 1
    assert "not served" in page.text("node-2")
    assert "not offered for 1 min" in page.text("node-2")


async def test_shows_nodes_that_are_not_advertised_and_nodes_that_went() -> None:
    """A node without CPUs says why it is no resource; an offline one stays, unhealthy."""
    gone = in_phase(Phase.STREAMING, 5)
    gone.update(gone.resource.with_health(False))
    machine = Machine((node_of(0), NumaNode(2, memory_bytes=0)))
    page = parse(observe(gone, advertisements=advertise(machine, CpulessNodes.SKIP)))
    assert "not advertised" in page.text("node-2")
    assert "no online CPUs" in page.text("node-2")
    assert "CPUs none" in page.text("node-2")
    assert "Memory none" in page.text("node-2")
    assert "unhealthy" in page.text("node-5")
    assert "100, unhealthy: the node is offline" in page.text("node-5")


async def test_shows_memory_as_far_as_it_is_known() -> None:
    """A kernel may tell no sizes, and huge pages count where there are some."""
    pages = (HugePages(2 * 1024**2, 512, 500), HugePages(GIB, 0, 0))
    nodes = (
        NumaNode(0, frozenset({0})),
        NumaNode(1, frozenset({1}), memory_bytes=3 * GIB, huge_pages=pages),
    )
    advertisements = advertise(Machine(nodes), CpulessNodes.SKIP)
    page = parse(observe(advertisements=advertisements))
    assert "Memory unknown" in page.text("node-0")
    assert "Memory 3 GiB" in page.text("node-1")
    assert "2 MiB: 500 of 512 free" in page.text("node-1")
    assert "1 GiB:" not in page.text("node-1")


async def test_a_card_lists_each_resource_of_its_node() -> None:
    """Plain slots first. One near several nodes is on each card, one near none on a card apart."""
    near = NumaResource("near-data", (0, 1), 100)
    cpus = resource_in_phase(NumaResource("numa-1-cpu", (1,), 32).with_unhealthy(range(4)))
    cpus.counts.allocated([["numa-1-cpu-0"]] * 3)
    observed = observe(
        in_phase(Phase.STREAMING, 0),
        resource_in_phase(near, Phase.WAITING, "no room"),
        in_phase(Phase.STREAMING, 1),
        cpus,
        resource_in_phase(NumaResource("near-net", (), 5).with_health(False)),
    )
    page = parse(observed)
    lines = page.text("node-1")
    assert lines.index("numa-align/numa-1 ") < lines.index("numa-align/near-data")
    assert lines.index("numa-align/near-data") < lines.index("numa-align/numa-1-cpu")
    assert "offered for 1 min : 28 of 32 healthy,  given to 3 containers since the start" in lines
    assert "100, healthy" in lines
    assert "not served" in lines
    assert "not offered for 1 min : 100 of 100 healthy" in page.text("node-0")
    assert "Any node" in page.text("node-any")
    assert "unhealthy" in page.text("node-any")
    assert "near-net   offered for 1 min : 5, unhealthy" in page.text("node-any")
    assert "near-data  no socket of ours is served; last trouble: no room" in page.text("troubles")


async def test_a_resource_near_a_node_without_slots_is_shown_there() -> None:
    """Beside the reason why the node has none."""
    near = resource_in_phase(NumaResource("near-data", (0, 2), 100))
    machine = Machine((node_of(0), NumaNode(2, memory_bytes=0)))
    advertisements = advertise(machine, CpulessNodes.SKIP)
    page = parse(observe(in_phase(Phase.STREAMING, 0), near, advertisements=advertisements))
    assert "no online CPUs" in page.text("node-2")
    assert "near-data" in page.text("node-2")


async def test_single_unhealthy_slots_are_counted() -> None:
    """What is healthy of the slots, where not all are."""
    page = parse(observe(resource_in_phase(NumaResource.of_node(0, 5).with_unhealthy([1]))))
    assert "5, 4 of them healthy" in page.text("node-0")


async def test_counts_what_happened_since_the_start() -> None:
    """Kubelet's generations, registrations and why there were several."""
    resource = in_phase(Phase.STREAMING)
    resource.counts.generation_appeared(0)
    page = parse(observe(resource, polling=True))
    assert "Registered again after nothing" in page.text("history")
    assert "polling" in page.text("history")


async def test_shows_what_cannot_be_counted_and_how_old_the_counts_are() -> None:
    """Kubelet's trouble and what is not counted are troubles; the last answer is history."""
    reasons = {"numa-0-cpu": "all of its CPUs are reserved"}
    counting = counting_seen(problem="List: no answer within 5 s", reasons=reasons)
    page = parse(observe(in_phase(Phase.STREAMING), counting=counting))
    assert "numa-0-cpu  is not counted: all of its CPUs are reserved" in page.text("troubles")
    assert "counting  List: no answer within 5 s" in page.text("troubles")
    assert "kubelet last answered 1 min ago; 5 answered, 1 incomplete, 2 failed" in page.text(
        "history"
    )


async def test_shows_what_is_not_near() -> None:
    """Names that are not offered, and what is wrong, are troubles."""
    page = parse(observe(in_phase(Phase.STREAMING), nearness=nearness_seen()))
    troubles = page.text("troubles")
    assert "near-fabric  net:eth9: it is not there" in troubles
    assert "near  NUMA_NEAR: 'cpu=/data': expected another name" in troubles
    assert "near-data" not in troubles
    assert "near-data" in page.text("near")
    assert "/data → nvme0n1 → 0000:01:00.0 → node 1" in page.text("near")


async def test_shows_what_the_runtime_pins() -> None:
    """The connection, how many containers of each node got what, and what that means."""
    page = parse(observe(in_phase(Phase.STREAMING), runtime=runtime_seen()))
    text = page.text("pinning")
    assert "Connected to containerd 2.2.0 for 1 min, over /var/run/nri/nri.sock." in text
    assert "Node 1 4 pinned" in text
    assert "No node 1 not trusted" in text
    assert "Pinned CPUs or memory of its nodes." in text
    assert "pinned" not in page.text("troubles")


async def test_a_runtime_that_is_away_is_a_trouble() -> None:
    """Containers start without being pinned, and every slot is offered."""
    seen = runtime_seen(connected=None, problem="it is <gone>", counts={})
    page = parse(observe(in_phase(Phase.STREAMING), runtime=seen))
    assert "containers are not pinned  /var/run/nri/nri.sock: it is <gone>" in page.text("troubles")
    assert "Not connected" in page.text("pinning")
    assert "ready" in page.text("header")


async def test_a_large_machine_is_folded_and_stays_small() -> None:
    """Of 64 nodes of 64 CPUs only those with a trouble are open, in a photograph's bytes."""
    nodes = tuple(node_of(number, nodes=64, cpus=64) for number in range(64))
    observed = observe(
        *(in_phase(Phase.STREAMING, number) for number in range(62)),
        in_phase(Phase.SERVING, 62),
        resource_in_phase(NumaResource.of_node(63, 5).with_health(False)),
        advertisements=advertise(Machine(nodes), CpulessNodes.SKIP),
    )
    page = parse(observed)
    cards = [found for tag, found in page.tags if found.get("class") == "card"]
    assert [card["id"] for card in cards] == [f"node-{number}" for number in range(64)]
    assert [card["id"] for card in cards if "open" in card] == ["node-62", "node-63"]
    distances = next(found for _, found in page.tags if found.get("id") == "distances")
    assert "open" not in distances
    cells = sum(tag == "td" for tag, _ in page.tags)
    assert cells == 64 * 64 + 1
    assert len(render_page(observed)) < 200_000


async def test_a_small_machine_has_nothing_to_open() -> None:
    """Eight nodes are shown as they are, their distances too, above them."""
    page = parse(observe(*(in_phase(Phase.STREAMING, number) for number in range(8))))
    ids = [found["id"] for _, found in page.tags if found.get("id")]
    assert ids.index("distances") < ids.index("node-0")
    folds = {found["id"]: "open" in found for tag, found in page.tags if tag == "details"}
    assert folds == {"distances": True, "words": False}


async def test_every_count_says_what_it_counts() -> None:
    """In a line below it, or where a pointer rests on its name, and since when."""
    page = parse(observe(in_phase(Phase.STREAMING), counting=counting_seen()))
    history = page.text("history")
    assert "The agent started  2026-01-02T03:02:35Z , 1 min ago." in history
    explained = [
        found for tag, found in page.tags if tag == "p" and found.get("class") == "meaning"
    ]
    assert len(explained) >= 1 + 5  # the start, and each count
    titles = {text for tag, found in page.tags if tag == "dt" and (text := found.get("title"))}
    assert words.ALLOCATED in titles
    for text in titles:
        assert text in page.text("words")


async def test_before_anything_is_known_there_is_a_page() -> None:
    """An agent that has not read the nodes says so."""
    page = parse(observe(advertisements=None, topology_problem="/sys is gone"))
    assert "not ready: the NUMA nodes have not been read yet" in page.text("header")
    assert "/sys is gone" in page.text("troubles")


async def test_remarks_on_the_nodes_are_shown() -> None:
    """With what a file held; a node whose CPUs are unknown does not look like one without."""
    nodes = (node_of(0), NumaNode(1, cpus_known=False))
    page = parse(
        observe(
            in_phase(Phase.STREAMING),
            advertisements=advertise(Machine(nodes), CpulessNodes.SKIP),
            remarks=[Remark("node 1: CPUs unknown", "/sys/x: held '0-'")],
        )
    )
    assert "node 1: CPUs unknown: /sys/x: held '0-'" in page.text("troubles")
    assert "CPUs unknown" in page.text("node-1")
    assert "the file that lists its CPUs cannot be read" in page.text("node-1")


async def test_loads_nothing() -> None:
    """No address in the page leads anywhere but to the agent itself."""
    page = parse(observe(in_phase(Phase.STREAMING)))
    addresses = {
        value
        for _tag, attributes in page.tags
        for name, value in attributes.items()
        if name in ("src", "href", "action", "data", "srcset")
    }
    assert {a for a in addresses if a and not a.startswith(("#", "data:"))} == {
        "/livez",
        "/metrics",
        "/readyz",
    }
    assert "http" not in page.raw["script"]
    assert "url(" not in page.raw["style"]


async def test_the_policy_admits_this_style_and_script_alone() -> None:
    """The hashes are those of the page's only style and script, and no attribute has code."""
    page = parse(observe(in_phase(Phase.STREAMING)))
    for tag in ("style", "script"):
        digest = b64encode(sha256(page.raw[tag].encode()).digest()).decode()
        assert f"{tag}-src 'sha256-{digest}';" in CONTENT_SECURITY_POLICY
        assert sum(found == tag for found, _ in page.tags) == 1
    names = {name for _tag, attributes in page.tags for name in attributes}
    assert not {name for name in names if name == "style" or name.startswith("on")}


HOSTILE = "</title></style></script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&<!--"


async def test_escapes_everything() -> None:
    """What kubelet, the kernel or the directory's name say is text, never markup."""
    clean = observe(in_phase(Phase.SERVING, 0, "clean"), kubelet_problem="clean")
    hostile = in_phase(Phase.SERVING, 0, HOSTILE)
    hostile.status.name = HOSTILE
    dirty = observe(
        hostile,
        kubelet_problem=HOSTILE,
        topology_problem=HOSTILE,
        kubelet_socket=clean.kubelet_socket.with_name(HOSTILE.replace("/", "")),
    )
    page = Page()
    page.feed(render_page(dirty, HOSTILE))
    expected = [tag for tag, _ in parse(evolve(clean, topology_problem="clean")).tags]
    assert [tag for tag, _ in page.tags] == expected
    assert page.text("troubles").count(HOSTILE) == 3
    assert HOSTILE in page.text("header")
    assert HOSTILE in page.text("node-0")


@given(st.text(), st.text())
def test_an_element_holds_its_text_and_attributes(text: str, value: str) -> None:
    """Any text comes out of a parser as it went in."""
    text, value = text.replace("\r", ""), value.replace("\r", "")
    page = Page()
    page.feed(element("p", text, join([text]), title=value, lang=None))
    page.close()
    assert "".join(page.texts.get("", [])) == text + text
    assert page.tags == [("p", {"title": value})]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (60, "1 min"),
        (3599, "59 min"),
        (3660, "1 h 1 min"),
        (90_000, "1 d 1 h"),
        (86_400 * 400, "400 d 0 h"),
    ],
)
def test_durations_are_read_at_a_glance(seconds: float, text: str) -> None:
    """A duration has its two largest units."""
    assert format_duration(seconds) == text


def test_distances_are_grouped() -> None:
    """Nodes at the same distance are named together; on a large machine, the nearest only."""
    small = NumaNode(0, distances={0: 10, 1: 12, 2: 32, 3: 32})
    assert describe_distances(small) == ["12 to node 1", "32 to nodes 2-3"]
    large = NumaNode(0, distances={0: 10, 1: 12, **dict.fromkeys(range(2, 64), 32), 63: 40})
    assert describe_distances(large) == ["12 to node 1", "up to 40 to the others"]
    alike = NumaNode(0, distances={0: 10, **dict.fromkeys(range(1, 64), 20)})
    assert describe_distances(alike) == ["20 to nodes 1-63"]
    assert describe_distances(NumaNode(0, distances={0: 10})) == []
