"""Which path is answered how."""

import pytest
from attrs import evolve

from agent.monitor.observations import NOW, in_phase, observe
from numa_trio.agent.moment import Moment
from numa_trio.agent.monitor import exposition
from numa_trio.agent.monitor.observation import Observation
from numa_trio.agent.monitor.routes import Routes, path_of
from numa_trio.agent.status import Phase


async def test_readyz_is_200_only_if_every_resource_streams() -> None:
    """Kubelet's readiness probe goes by the status alone."""
    resource = in_phase(Phase.STREAMING)
    routes = Routes(lambda: observe(resource))
    assert routes.respond("GET", "/readyz").status == 200
    resource.status.streams_changed(0)
    answer = routes.respond("GET", "/readyz")
    assert answer.status == 503
    assert answer.body.startswith(b"not ready")


async def test_livez_looks_at_nothing() -> None:
    """The answer itself shows that the event loop turns."""

    def observe_nothing() -> Observation:
        raise AssertionError

    assert Routes(observe_nothing).respond("GET", "/livez").status == 200


async def test_metrics_have_prometheus_content_type() -> None:
    """The version of the format is part of the type."""
    answer = Routes(observe).respond("GET", "/metrics")
    assert answer.status == 200
    assert answer.content_type == exposition.CONTENT_TYPE
    assert b"\nnuma_trio_ready 0\n" in answer.body
    assert b"\nprocess_resident_memory_bytes " in answer.body


async def test_the_page_comes_with_its_policy() -> None:
    """The page may run its own script and style, and load nothing."""
    answer = Routes(observe).respond("GET", "/")
    assert answer.status == 200
    assert answer.content_type == "text/html; charset=utf-8"
    policy = dict(answer.headers)["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; ")
    assert "unsafe" not in policy


async def test_those_who_look_together_share_a_page() -> None:
    """A page is drawn once a second at most, and never shown for longer."""
    now = NOW
    routes = Routes(lambda: evolve(observe(), now=now))
    first = routes.respond("GET", "/")
    now = Moment(NOW.trio + 0.9, NOW.unix)
    assert routes.respond("GET", "/") is first
    now = Moment(NOW.trio + 1.1, NOW.unix + 60)
    assert routes.respond("GET", "/").body != first.body


@pytest.mark.parametrize("path", ["/", "/livez", "/readyz", "/metrics"])
async def test_paths_can_be_read_and_not_written(path: str) -> None:
    """Other methods are told which there are."""
    routes = Routes(observe)
    assert routes.respond("HEAD", path).status == routes.respond("GET", path).status
    for method in ("POST", "PUT", "DELETE", "OPTIONS", "CONNECT", "get"):
        answer = routes.respond(method, path)
        assert answer.status == 405
        assert dict(answer.headers)["Allow"] == "GET, HEAD"


@pytest.mark.parametrize("path", ["/nothing", "/livez/", "//livez", "/%6civez", "/../livez"])
async def test_other_paths_are_404(path: str) -> None:
    """There are four paths."""
    assert Routes(observe).respond("GET", path).status == 404


@pytest.mark.parametrize("target", ["*", "host:80", "livez", "ftp://host/livez"])
async def test_a_target_that_is_no_path_is_400(target: str) -> None:
    """Only a path, or a whole http URL, can be asked for."""
    assert Routes(observe).respond("GET", target).status == 400


@pytest.mark.parametrize(
    ("target", "path"),
    [
        ("/readyz?verbose=1", "/readyz"),
        ("http://host:9410/readyz?x", "/readyz"),
        ("HTTP://host", "/"),
        ("/", "/"),
    ],
)
def test_the_path_of_a_target(target: str, path: str) -> None:
    """A query does not count, and a target may be a whole URL (RFC 9112, 3.2.2)."""
    assert path_of(target) == path


async def test_a_defect_is_500_and_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """Probes ask every few seconds; the log must not fill."""

    def defect() -> Observation:
        raise ZeroDivisionError

    routes = Routes(defect)
    for _ in range(3):
        assert routes.respond("GET", "/readyz").status == 500
    assert [record.getMessage() for record in caplog.records] == [
        "Cannot answer /readyz, which is a defect"
    ]
    assert routes.respond("GET", "/livez").status == 200


async def test_a_path_that_is_no_utf_8_can_be_shown() -> None:
    """Directories may have any name."""
    routes = Routes(lambda: observe(kubelet_problem="/dp\udcff does not exist yet"))
    assert b"/dp\\udcff does not exist yet" in routes.respond("GET", "/readyz").body
    assert b"/dp\\udcff does not exist yet" in routes.respond("GET", "/").body
