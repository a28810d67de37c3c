"""Which path is answered how."""

from pathlib import Path

import pytest
import trio
from trio.testing import MockClock

from agent.monitor.observations import in_phase, observe
from numa_trio.agent.monitor import exposition
from numa_trio.agent.monitor.observation import Observation
from numa_trio.agent.monitor.routes import Routes, path_of
from numa_trio.agent.status import Phase
from numa_trio.plugin.advertising import CpulessNodes, advertise
from numa_trio.topology.machine import Machine, NumaNode


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


@pytest.mark.parametrize("path", ["/", "/metrics"])
async def test_clients_that_ask_in_a_loop_share_an_answer(
    autojump_clock: MockClock, path: str
) -> None:
    """Page and metrics are made once a second at most, and never shown for longer."""
    looks = 0

    def look() -> Observation:
        nonlocal looks
        looks += 1
        return observe()

    routes = Routes(look)
    for _ in range(99):  # for 9.9 s
        await trio.sleep(0.1)
        assert routes.respond("GET", path).status == 200
    assert looks == 10


async def test_what_is_shared_is_not_readiness(autojump_clock: MockClock) -> None:
    """Readiness is read for each request, also between two answers that are shared."""
    resource = in_phase(Phase.STREAMING)
    routes = Routes(lambda: observe(resource))
    shared = [routes.respond("GET", path) for path in ("/", "/metrics")]
    assert routes.respond("GET", "/readyz").status == 200
    resource.status.streams_changed(0)
    assert routes.respond("GET", "/readyz").status == 503
    assert [routes.respond("GET", path) for path in ("/", "/metrics")] == shared
    await trio.sleep(1)
    assert b"\nnuma_trio_ready 0\n" in routes.respond("GET", "/metrics").body


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


async def test_page_names_the_server() -> None:
    """Not the pod, if the settings have the server's name."""
    page = Routes(observe, "server-1").respond("GET", "/").body.decode()
    assert "numa-trio on server-1</title>" in page


async def test_the_page_reads_the_cores_when_it_is_asked_for(
    autojump_clock: MockClock, tmp_path: Path
) -> None:
    """Once for each set of CPUs, and not for readiness or metrics, which are asked for often."""
    folder = tmp_path / "devices/system/cpu/cpu0/topology"
    folder.mkdir(parents=True)
    machines = [Machine((NumaNode(0, frozenset(cpus)),)) for cpus in ({0}, {0, 1})]
    observed = [
        observe(advertisements=advertise(machine, CpulessNodes.SKIP)) for machine in machines
    ]
    seen = observed[0]
    routes = Routes(lambda: seen, sysfs_root=tmp_path)

    async def page() -> str:
        await trio.sleep(2)  # longer than an answer is shared
        return routes.respond("GET", "/").body.decode()

    for path in ("/readyz", "/metrics"):
        routes.respond("GET", path)
    (folder / "core_cpus_list").write_text("0-1")
    assert "<li><b class=plain>0</b>" in await page()
    (folder / "core_cpus_list").unlink()
    assert "<li><b class=plain>0</b>" in await page()
    seen = observed[1]
    assert "<b class=plain>" not in await page()
