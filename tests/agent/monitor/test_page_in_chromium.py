"""The page in a real browser: drawn, legible, refreshed without flicker, deaf to hostile text."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import trio
from attrs import define, evolve, field

from agent.monitor.chromium import Chromium, open_chromium
from agent.monitor.observations import (
    counting_seen,
    in_phase,
    nearness_seen,
    node_of,
    observe,
    resource_in_phase,
)
from numa_trio.agent.counting import Answer
from numa_trio.agent.counts import Outcome
from numa_trio.agent.moment import Moment
from numa_trio.agent.monitor.http import serve_http
from numa_trio.agent.monitor.http_counts import HttpDrop
from numa_trio.agent.monitor.observation import Observation
from numa_trio.agent.monitor.routes import Routes
from numa_trio.agent.status import Phase
from numa_trio.plugin.advertising import CpulessNodes, advertise
from numa_trio.plugin.holdings import Allocatable, ContainerHoldings
from numa_trio.plugin.resource import NumaResource
from numa_trio.setting_values import HttpAddress
from numa_trio.topology.machine import Machine, NumaNode

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chromium]:
    with open_chromium(tmp_path_factory.mktemp("profile")) as window:
        yield window


def ignore(_reason: HttpDrop) -> None:
    pass


@define(eq=False)
class Shown:
    """A server whose page, in the browser, shows `observed`; a test may exchange that.

    Two CPUs with consecutive numbers are a core, eight nodes of 4 CPUs a socket.
    """

    chromium: Chromium
    nursery: trio.Nursery
    sysfs_root: Path
    observed: Observation = field(factory=observe)
    port: int = 0
    _serving: trio.CancelScope = field(factory=trio.CancelScope)

    async def start(self) -> None:
        self._serving = trio.CancelScope()
        await self.nursery.start(self._serve)

    async def _serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        observe_now = lambda: evolve(self.observed, now=Moment.now())  # noqa: E731
        routes = Routes(observe_now, sysfs_root=self.sysfs_root)
        address = HttpAddress("127.0.0.1", self.port)
        with self._serving:
            async with trio.open_nursery() as nursery:
                (listener,) = await nursery.start(serve_http, address, routes.respond, ignore)
                self.port = listener.socket.getsockname()[1]
                task_status.started()

    def stop(self) -> None:
        self._serving.cancel()

    async def open(self) -> None:
        await self.ask(self.chromium.open, f"http://127.0.0.1:{self.port}/")

    async def run(self, script: str) -> Any:
        return await self.ask(self.chromium.run, script)

    async def wait_for(self, expression: str) -> None:
        await self.ask(self.chromium.wait_for, expression)

    async def ask(self, call: Callable[..., Any], *arguments: object) -> Any:
        """Ask the browser in a thread, so that our event loop can answer the browser."""
        return await trio.to_thread.run_sync(partial(call, *arguments))


@pytest.fixture(scope="module")
def sysfs_root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("sys")
    for cpu in range(256):
        folder = root / f"devices/system/cpu/cpu{cpu}/topology"
        folder.mkdir(parents=True)
        (folder / "core_cpus_list").write_text(f"{cpu & ~1}-{cpu | 1}\n")
        (folder / "physical_package_id").write_text(f"{cpu // 32}\n")
    return root


@pytest.fixture
async def shown(
    chromium: Chromium, nursery: trio.Nursery, sysfs_root: Path
) -> AsyncIterator[Shown]:
    chromium.open("about:blank")
    chromium.complaints()
    page = Shown(chromium, nursery, sysfs_root)
    await page.start()
    yield page
    page.stop()


def large_machine() -> Observation:
    """64 nodes of 4 CPUs, of which one is without its stream and one has no CPUs."""
    nodes = [node_of(number, nodes=64) for number in range(63)]
    nodes.append(NumaNode(63, memory_bytes=2**30))
    resources = [in_phase(Phase.STREAMING, number) for number in range(62)]
    return observe(
        *resources,
        in_phase(Phase.SERVING, 62, "kubelet refused the registration"),
        advertisements=advertise(Machine(tuple(nodes)), CpulessNodes.SKIP),
        **in_use(),
    )


def in_use() -> dict[str, object]:
    """Names that are near, and six containers with CPUs, all different in colour."""
    holdings = [
        ContainerHoldings("search", f"elasticsearch-{cpu}", "elasticsearch", cpus=frozenset({cpu}))
        for cpu in range(1, 7)
    ]
    allocatable = Allocatable(frozenset(range(1, 256)))
    return {
        "counting": counting_seen(
            answer=Answer(allocatable, holdings),
            reasons={"numa-2-cpu": "all of its CPUs are reserved for the system"},
        ),
        "nearness": nearness_seen(),
    }


def small_machine() -> Observation:
    """Two nodes, each with resources of several kinds."""
    return observe(
        in_phase(Phase.STREAMING, 0),
        in_phase(Phase.STREAMING, 1),
        resource_in_phase(NumaResource("near-elasticsearch-data", (0, 1), 100)),
        resource_in_phase(NumaResource("numa-1-cpu", (1,), 4)),
        **in_use(),
    )


async def test_draws_the_machine(shown: Shown) -> None:
    """Cards, CPUs, bars and distances have a size on the screen, and the console is silent."""
    shown.observed = observe(in_phase(Phase.STREAMING, 0), in_phase(Phase.STREAMING, 1))
    await shown.open()
    seen = await shown.run(
        """
        const drawn = (selector) => [...document.querySelectorAll(selector)]
            .filter((one) => one.getBoundingClientRect().width > 5).length;
        return {
            title: document.title,
            cards: drawn(".card"),
            cores: drawn(".card .cores li"),
            threads: drawn(".card .cores b"),
            bars: drawn(".card .bar"),
            distances: drawn("#distances td[class]"),
            states: [...document.querySelectorAll(".state")].map((one) => one.innerText),
            side_by_side: document.getElementById("node-1").getBoundingClientRect().top
                === document.getElementById("node-0").getBoundingClientRect().top,
        };
        """
    )
    assert seen.pop("title").startswith("ready: numa-trio on ")
    assert seen == {
        "cards": 2,
        "cores": 4,
        "threads": 8,
        "bars": 2,
        "distances": 4,
        "states": ["offered", "offered"],
        "side_by_side": True,
    }
    assert await shown.ask(shown.chromium.complaints) == []


OVERFLOWING = """
    return [...document.querySelectorAll("body *")]
        .filter((one) => !one.closest(".scroll") && one.checkVisibility())
        .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
        .map((one) => one.outerHTML.slice(0, 80));
"""

# A word is broken if its characters are on several lines. Only what has no place where a line may
# end is a word: a browser may begin a new line after a hyphen.
BROKEN = """
    for (const fold of document.querySelectorAll("details")) fold.open = true;
    const broken = [];
    const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    for (let text = texts.nextNode(); text; text = texts.nextNode()) {
        if (["SCRIPT", "STYLE"].includes(text.parentElement.tagName)) continue;
        for (const word of text.data.matchAll(/[^\\s-]+-?/g)) {
            const range = document.createRange();
            range.setStart(text, word.index);
            range.setEnd(text, word.index + word[0].length);
            const lines = new Set([...range.getClientRects()].map((box) => box.bottom));
            if (lines.size > 1) broken.push(word[0]);
        }
    }
    return broken;
"""


@pytest.mark.parametrize("machine", [small_machine, large_machine])
@pytest.mark.parametrize("width", [360, 480, 800, 1440, 2560])
async def test_fits_screens_of_every_width(
    shown: Shown, machine: Callable[[], Observation], width: int
) -> None:
    """Nothing needs scrolling sideways but the table of distances, and no word is broken."""
    shown.observed = machine()
    await shown.ask(shown.chromium.resize, width, 900)
    await shown.open()
    assert await shown.run(OVERFLOWING) == []
    assert await shown.run("return document.documentElement.scrollWidth") <= width
    assert await shown.run(BROKEN) == []
    assert await shown.run(OVERFLOWING) == []  # with all unfolded


async def test_only_what_is_in_trouble_is_unfolded(shown: Shown) -> None:
    """Of 64 nodes one card is open, and the others are a line each."""
    shown.observed = large_machine()
    await shown.open()
    heights = await shown.run(
        """
        const height = (card) => card.getBoundingClientRect().height;
        return [...document.querySelectorAll(".card")].map(height);
        """
    )
    assert len(heights) == 64
    assert [number for number, height in enumerate(heights) if height > 80] == [62]


async def test_what_a_person_unfolds_stays_open(shown: Shown) -> None:
    """Over refreshes, until the node is in trouble or out of it."""
    resources = [in_phase(Phase.STREAMING, number) for number in range(20)]
    shown.observed = observe(*resources)
    await shown.open()
    await shown.run(
        """
        for (const id of ["node-3", "words"]) document.getElementById(id).open = true;
        document.getElementById("distances").open = false;
        """
    )
    resources[5].status.streams_changed(0)
    resources[3].counts.allocated([["numa-3-0"]] * 7)
    await shown.wait_for("document.getElementById('node-5').open")
    assert "to 7 containers" in await shown.run(
        "return document.getElementById('node-3').innerText"
    )
    opened = "return [...document.querySelectorAll('details[open]')].map((one) => one.id)"
    assert await shown.run(opened) == ["node-3", "node-5", "words"]
    resources[5].status.streams_changed(1)
    await shown.wait_for("!document.getElementById('node-5').open")


CONTRASTS = """
    const luminance = (colour) => {
        const [r, g, b] = colour.map((part) => part / 255)
            .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);
        return 0.2126 * r + 0.7152 * g + 0.0722 * b;
    };
    const parse = (text) => text.match(/[\\d.]+/g).map(Number);
    const behind = (element) => {
        if (!element) return [255, 255, 255];
        const [r, g, b, alpha = 1] = parse(getComputedStyle(element).backgroundColor);
        if (alpha === 1) return [r, g, b];
        const below = behind(element.parentElement);
        return [r, g, b].map((part, i) => part * alpha + below[i] * (1 - alpha));
    };
    const faults = [];
    for (const element of document.querySelectorAll("body *")) {
        const own = [...element.childNodes]
            .some((node) => node.nodeType === Node.TEXT_NODE && node.data.trim());
        if (!own || ["SCRIPT", "STYLE"].includes(element.tagName)) continue;
        const ink = luminance(parse(getComputedStyle(element).color).slice(0, 3));
        const paper = luminance(behind(element));
        const ratio = (Math.max(ink, paper) + 0.05) / (Math.min(ink, paper) + 0.05);
        if (ratio < 4.5) faults.push(`${ratio.toFixed(2)} ${element.outerHTML.slice(0, 80)}`);
    }
    return {faults, paper: behind(document.body)};
"""


@pytest.mark.parametrize(("colours", "dark"), [("light", False), ("dark", True)])
async def test_every_text_is_legible(shown: Shown, colours: str, dark: bool) -> None:
    """In light and in dark, all text has the contrast of WCAG 2.2 AA (4.5 to 1)."""
    small = node_of(0)
    distances = {number: 10 + 2 * number for number in range(6)}
    nodes = (evolve(small, distances=distances), *(NumaNode(n) for n in range(1, 6)))
    shown.observed = observe(
        in_phase(Phase.STREAMING, 0),
        in_phase(Phase.WAITING, 1, "gone"),
        in_phase(Phase.SERVING, 2),
        in_phase(Phase.REGISTERED, 3),
        advertisements=advertise(Machine(nodes), CpulessNodes.SKIP),
        kubelet_problem="there is none",
        **in_use(),
    )
    await shown.ask(shown.chromium.prefer, colours)
    await shown.open()
    await shown.run("document.getElementById('words').open = true")
    found = await shown.run(CONTRASTS)
    assert found["faults"] == []
    assert (sum(found["paper"]) < 200) is dark


async def test_a_refresh_exchanges_only_what_changed(shown: Shown) -> None:
    """What is the same stays the same element, and where it is on the screen; the title follows."""
    resources = [in_phase(Phase.STREAMING, number) for number in range(20)]
    shown.observed = observe(*resources)
    await shown.ask(shown.chromium.resize, 500, 400)
    await shown.open()
    await shown.run(
        """
        document.getElementById("distances").open = true;
        document.querySelector(".scroll").scrollLeft = 15;
        scrollTo(0, document.getElementById("node-15").getBoundingClientRect().top - 100);
        window.changing = document.getElementById("node-3");
        window.looked_at = document.elementFromPoint(200, 200).closest(".card");
        window.height = looked_at.getBoundingClientRect().top;
        """
    )
    resources[3].status.streams_changed(0)
    resources[3].counts.registration_tried(Outcome.REFUSED)
    await shown.wait_for("document.title.startsWith('not ready')")
    assert await shown.run("return document.querySelector('#node-3 .state').innerText") == (
        "not watched"
    )
    assert await shown.run("return changing.isConnected") is False
    assert await shown.run("return looked_at.isConnected") is True
    # The browser moves the page back to it with the next frame.
    await shown.wait_for("Math.abs(looked_at.getBoundingClientRect().top - height) < 1")
    assert "1 refused" in await shown.run("return document.getElementById('history').innerText")
    assert await shown.run("return document.querySelector('.scroll').scrollLeft") == 15


async def test_a_node_that_appears_is_shown(shown: Shown) -> None:
    """The page follows the machine."""
    shown.observed = observe(in_phase(Phase.STREAMING, 0))
    await shown.open()
    shown.observed = observe(in_phase(Phase.STREAMING, 0), in_phase(Phase.STREAMING, 1))
    await shown.wait_for("document.getElementById('node-1')")


async def test_says_when_the_agent_is_silent(shown: Shown) -> None:
    """Old figures are called old until the agent answers again."""
    await shown.open()
    shown.stop()
    await shown.wait_for("document.getElementById('silence').innerText.startsWith('No answer')")
    await shown.start()
    await shown.wait_for("document.getElementById('silence').innerText === ''")


async def test_hostile_text_stays_text(shown: Shown) -> None:
    """Neither at first nor after a refresh does anything run but the page's own script."""
    hostile = "<img src=x onerror='window.broken = 1'><script>window.broken = 1</script>"
    shown.observed = observe(in_phase(Phase.SERVING, 0, hostile), kubelet_problem=hostile)
    await shown.open()
    assert hostile in await shown.run("return document.getElementById('troubles').innerText")
    shown.observed = observe(in_phase(Phase.SERVING, 0, f"again {hostile}"))
    await shown.wait_for("document.getElementById('troubles').innerText.includes('again')")
    assert await shown.run("return window.broken") is None
    assert await shown.run("return document.querySelectorAll('main img, main script').length") == 0
    assert await shown.ask(shown.chromium.complaints) == []
    # Nor would anything run that found its way into the page.
    await shown.run(
        "document.body.append(Object.assign(document.createElement('script'),"
        " {textContent: 'window.broken = 1'}))"
    )
    assert await shown.run("return window.broken") is None
    (complaint,) = await shown.ask(shown.chromium.complaints)
    assert "Content Security Policy" in complaint
