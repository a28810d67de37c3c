"""The page as a parser finds it."""

from html.parser import HTMLParser

from attrs import define, field

from numa_trio.agent.monitor.observation import Observation
from numa_trio.agent.monitor.page import render_page
from numa_trio.topology.cores import Cores

_PARTS = ("article", "details", "header", "ul", "section", "footer", "p")


@define
class Page(HTMLParser):
    """What a parser finds: the start tags with their attributes, and the text of each card."""

    tags: list[tuple[str, dict[str, str | None]]] = field(factory=list)
    texts: dict[str, list[str]] = field(factory=dict)
    raw: dict[str, str] = field(factory=dict)
    _part: str = ""
    _tag: str = ""

    def __attrs_pre_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        self.tags.append((tag, attributes))
        self._tag = tag
        if tag in _PARTS and attributes.get("id"):
            self._part = attributes["id"] or ""

    def handle_data(self, data: str) -> None:
        if self._tag in ("style", "script"):
            self.raw[self._tag] = self.raw.get(self._tag, "") + data
        else:
            self.texts.setdefault(self._part, []).append(data)

    def handle_endtag(self, tag: str) -> None:
        self._tag = ""

    def text(self, part: str) -> str:
        return " ".join(self.texts.get(part, []))


def parse(observed: Observation, cores: Cores | None = None) -> Page:
    page = Page()
    page.feed(render_page(observed, "some-host", cores))
    page.close()
    return page
