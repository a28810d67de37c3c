"""What the HTTP server answers: `/livez`, `/readyz`, `/metrics` and the page at `/`."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import trio
from attrs import define, field

from numa_trio.agent.monitor import exposition
from numa_trio.agent.monitor.http import Response
from numa_trio.agent.monitor.metrics import render_metrics
from numa_trio.agent.monitor.observation import Observation
from numa_trio.agent.monitor.process import ProcessUsage
from numa_trio.agent.monitor.readiness import describe_readiness

if TYPE_CHECKING:
    from numa_trio.topology.cores import Cores

log = logging.getLogger(__name__)

_METHODS = ("GET", "HEAD")

# The page of a large machine takes 20 ms, its metrics 3 ms. All who ask within so many seconds get
# the same answer. Readiness takes 0.2 ms there, and is never shared.
_ANSWER_LASTS = 1.0


@define(eq=False)
class Routes:
    """Answers from what `observe` sees at the moment of each request.

    The page has the name of the server, `host`; empty is the hostname. The cores that it draws are
    read from sysfs when they are first needed, and when the set of online CPUs has changed.
    """

    observe: Callable[[], Observation]
    host: str = ""
    sysfs_root: Path = Path("/sys")
    _cores: "tuple[frozenset[int], Cores] | None" = field(default=None, init=False)
    _defects: set[str] = field(factory=set, init=False)
    _shared: dict[str, tuple[float, Response]] = field(factory=dict, init=False)

    def respond(self, method: str, target: str) -> Response:
        """The answer to a request."""
        path = path_of(target)
        if path is None:
            return _text(400, f"{target} is not a path\n")
        answer = {
            "/": self._page,
            "/livez": self._livez,
            "/metrics": self._metrics,
            "/readyz": self._readyz,
        }.get(path)
        if answer is None:
            return _text(404, "There are /, /livez, /metrics and /readyz\n")
        if method not in _METHODS:
            allow = (("Allow", ", ".join(_METHODS)),)
            return Response(405, b"Only GET and HEAD\n", headers=allow)
        try:
            return answer()
        except Exception:
            if path not in self._defects:  # probes ask every few seconds
                self._defects.add(path)
                log.exception("Cannot answer %s, which is a defect", path)
            return _text(500, "A defect; the log has it\n")

    def _livez(self) -> Response:
        return _text(200, "the event loop turns\n")

    def _readyz(self) -> Response:
        observed = self.observe()
        return _text(200 if observed.ready else 503, describe_readiness(observed))

    def _metrics(self) -> Response:
        return self._share("/metrics", self._expose)

    def _page(self) -> Response:
        return self._share("/", self._draw)

    def _share(self, path: str, make: Callable[[], Response]) -> Response:
        """The answer of the last second, if there is one."""
        now = trio.current_time()
        made_at, answer = self._shared.get(path, (float("-inf"), None))
        if answer is None or now - made_at >= _ANSWER_LASTS:
            answer = make()
            self._shared[path] = now, answer
        return answer

    def _expose(self) -> Response:
        text = render_metrics(self.observe(), ProcessUsage.read())
        return Response(200, text.encode(), exposition.CONTENT_TYPE)

    def _draw(self) -> Response:
        # Few ever look at the page: the others need not pay for it.
        from numa_trio.agent.monitor.page import CONTENT_SECURITY_POLICY, render_page

        observed = self.observe()
        page = render_page(observed, self.host, self._cores_of(observed))
        return Response(
            200,
            _encode(page),
            "text/html; charset=utf-8",
            (
                ("Content-Security-Policy", CONTENT_SECURITY_POLICY),
                ("Referrer-Policy", "no-referrer"),
            ),
        )

    def _cores_of(self, observed: Observation) -> "Cores":
        from numa_trio.topology.cores import read_cores

        cpus = frozenset[int]().union(*(one.node.cpus for one in observed.advertisements or ()))
        if self._cores is None or self._cores[0] != cpus:
            self._cores = cpus, read_cores(self.sysfs_root, cpus)
        return self._cores[1]


def path_of(target: str) -> str | None:
    """The path of a request's target without its query; None if the target has no path.

    RFC 9112 lets a target be a whole http URL too, as proxies are sent.
    """
    if target[:7].lower() == "http://":
        _authority, slash, path = target[7:].partition("/")
        target = slash + path or "/"
    if not target.startswith("/"):
        return None
    return target.partition("?")[0]


def _text(status: int, text: str) -> Response:
    return Response(status, _encode(text))


def _encode(text: str) -> bytes:
    """Paths may hold bytes that are no UTF-8."""
    return text.encode("utf-8", "backslashreplace")
