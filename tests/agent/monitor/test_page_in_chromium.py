"""The page in a real browser: drawn, legible, refreshed without flicker, deaf to hostile text."""

from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from typing import Any

import pytest
import trio
from attrs import define, evolve, field

from agent.monitor.chromium import Chromium, open_chromium
from agent.monitor.observations import in_phase, node_of, observe
from numa_trio.agent.counts import Outcome
from numa_trio.agent.moment import Moment
from numa_trio.agent.monitor.http import serve_http
from numa_trio.agent.monitor.http_counts import HttpDrop
from numa_trio.agent.monitor.observation import Observation
from numa_trio.agent.monitor.routes import Routes
from numa_trio.agent.status import Phase
from numa_trio.plugin.advertising import CpulessNodes, advertise
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
    """A server whose page, in the browser, shows `observed`; a test may exchange that."""

    chromium: Chromium
    nursery: trio.Nursery
    observed: Observation = field(factory=observe)
    port: int = 0
    _serving: trio.CancelScope = field(factory=trio.CancelScope)

    async def start(self) -> None:
        self._serving = trio.CancelScope()
        await self.nursery.start(self._serve)

    async def _serve(self, *, task_status: trio.TaskStatus[None]) -> None:
        routes = Routes(lambda: evolve(self.observed, now=Moment.now()))
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


@pytest.fixture
async def shown(chromium: Chromium, nursery: trio.Nursery) -> AsyncIterator[Shown]:
    chromium.open("about:blank")
    chromium.complaints()
    page = Shown(chromium, nursery)
    await page.start()
    yield page
    page.stop()


def large_machine() -> Observation:
    """64 nodes of 64 CPUs, of which one is without its stream and one has no CPUs."""
    nodes = [node_of(number, nodes=64, cpus=64) for number in range(63)]
    nodes.append(NumaNode(63, memory_bytes=2**30))
    resources = [in_phase(Phase.STREAMING, number) for number in range(62)]
    return observe(
        *resources,
        in_phase(Phase.SERVING, 62, "kubelet refused the registration"),
        advertisements=advertise(Machine(tuple(nodes)), CpulessNodes.SKIP),
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
            cpus: drawn(".card ol.cpus li"),
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
        "cpus": 8,
        "bars": 2,
        "distances": 4,
        "states": ["offered", "offered"],
        "side_by_side": True,
    }
    assert await shown.ask(shown.chromium.complaints) == []


@pytest.mark.parametrize("width", [360, 768, 1500, 2560])
async def test_fits_screens_of_every_width(shown: Shown, width: int) -> None:
    """Even 64 nodes need no scrolling sideways, but for the table of distances within its frame."""
    shown.observed = large_machine()
    await shown.ask(shown.chromium.resize, width, 900)
    await shown.open()
    overflowing = await shown.run(
        """
        return [...document.querySelectorAll("body *")]
            .filter((one) => !one.closest(".scroll"))
            .filter((one) => one.getBoundingClientRect().right > innerWidth + 1)
            .map((one) => one.outerHTML.slice(0, 80));
        """
    )
    assert overflowing == []
    assert await shown.run("return document.documentElement.scrollWidth") <= width
    assert await shown.run("return document.querySelectorAll('.card').length") == 64


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
    )
    await shown.ask(shown.chromium.prefer, colours)
    await shown.open()
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
        scrollTo(0, 1700);
        document.querySelector(".scroll").scrollLeft = 15;
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
    assert abs(await shown.run("return looked_at.getBoundingClientRect().top - height")) < 1
    # The table of distances is in a part that did change.
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
