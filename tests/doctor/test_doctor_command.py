"""`numa-trio doctor`: what it prints, its exit status, and what it asks a host that runs."""

import json
import os
import re
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import grpc
import pytest

from doctor_golden import GOLDEN, WIDTHS, outputs, printed
from doctor_hosts import HOSTS, READY, Host
from grpcio_pod_resources import GrpcioPodResources
from numa_trio.cli import main
from numa_trio.commands import doctor
from numa_trio.doctor.examine import CHECKS

ROOT = Path(__file__).parents[2]
DOCS = (ROOT / "docs/doctor.md").read_text()


@pytest.fixture(autouse=True)
def no_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in list(os.environ):
        if name.startswith("NUMA_") or name in ("COLUMNS", "NO_COLOR", "FORCE_COLOR"):
            monkeypatch.delenv(name)


@pytest.mark.parametrize("distribution", HOSTS)
def test_what_is_printed_is_what_was_looked_at(distribution: str, tmp_path: Path) -> None:
    """In a narrow and a wide terminal, and as JSON: as in tests/doctor/golden."""
    for name, text in outputs(distribution, tmp_path).items():
        assert text == (GOLDEN / name).read_text(), f"python tests/doctor_golden.py, for {name}"


@pytest.mark.parametrize("width", [20, 40, *WIDTHS])
def test_no_line_is_wider_than_the_terminal(width: int, tmp_path: Path) -> None:
    """But for words that are longer themselves."""
    root = Host.of(tmp_path, "kubeadm").as_captured()
    for line in re.sub(r"\x1b\[[0-9;]*m", "", printed(root, width)).splitlines():
        assert len(line.rstrip()) <= max(
            width, *(6 + len(word) for word in line.split() or [""]), 40
        )


def test_no_color_is_honoured(tmp_path: Path) -> None:
    """A terminal shows colours, unless NO_COLOR is set."""
    root = Host.of(tmp_path, "kubeadm").as_captured()
    colour = re.compile(r"\x1b\[(?:[0-9]+;)?3[0-9]")
    assert colour.search(printed(root, 80))
    assert not colour.search(printed(root, 80, NO_COLOR="1"))


def test_the_exit_status_tells(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """0: nothing to change; 1: errors or warnings; 2: it cannot look."""
    host = Host.of(tmp_path / "host", "kubeadm")
    assert main(["doctor", "--root", str(host.as_captured())]) == 0
    host.write("/sys/devices/system/cpu/isolated", "2\n")
    assert main(["doctor", "--root", str(host.folder)]) == 1
    capsys.readouterr()
    (tmp_path / "empty").mkdir()
    for path, told in [("empty", "shows neither NUMA nodes nor"), ("gone", "No such file")]:
        assert main(["doctor", "--root", str(tmp_path / path)]) == 2
        assert told in capsys.readouterr().err
    assert main(["doctor", "--agent", "nowhere"]) == 2
    assert "--agent nowhere: expected host:port" in capsys.readouterr().err


def test_nothing_that_a_file_holds_moves_the_cursor(tmp_path: Path) -> None:
    """Control characters of the host's files are escaped."""
    host = Host.of(tmp_path, "kubeadm")
    host.change("/var/lib/kubelet/config.yaml", "single-numa-node", '"\\e[31mred\\a"')
    shown = printed(host.as_captured(), 200, NO_COLOR="1")
    assert "\\x1b[31mred\\x07" in shown
    assert "\a" not in shown


def test_each_check_has_a_section(tmp_path: Path) -> None:
    """docs/doctor.md has each code with its title, in order, and each key of the JSON."""
    found = re.findall(r"(?m)^### (ND[0-9]{3})\n\n\*\*([^*]+?)[,.]?\*\*", DOCS)
    assert found == [(check.code, check.title) for check in CHECKS]
    (document,) = (json.loads((GOLDEN / "RKE2.json").read_text()),)
    for key in (*document, *document["checks"][0]):
        assert re.search(rf"`(checks\[\])?\.?{key}`", DOCS), key


def test_the_examples_of_the_help_are_those_of_the_page() -> None:
    """Each is a command line that the parser takes."""
    lines = re.findall(r"(?m)^ *numa-trio (doctor.*?)(?:   .*)?$", doctor.EPILOG)
    assert len(lines) == 4
    for line in lines:
        assert f"numa-trio {line.strip()}" in DOCS


def test_the_agent_imports_nothing_of_it() -> None:
    """What the command needs is imported when it runs."""
    code = (
        "import sys; from numa_trio.cli import build_parser; build_parser();"
        "print([m for m in sys.modules if m.startswith(('numa_trio.doctor', 'rich', 'yaml'))])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert result.stdout == "[]\n", result.stderr


# ---- A host that runs ----


@pytest.fixture
def running(tmp_path: Path) -> Iterator[Host]:
    """A kubelet listens on its socket, and the agent has one."""
    host = Host.of(tmp_path, "kubeadm")
    folder = host.folder / "var/lib/kubelet/device-plugins"
    folder.mkdir(mode=0o750)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as plugin:
        listener.bind(str(folder / "kubelet.sock"))
        listener.listen()
        plugin.bind(str(folder / "numa-0-x.sock"))
        yield host


def seen(host: Host, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, tuple[str, str]]:
    main(["doctor", "--root", str(host.folder), "--output", "json", *words])
    checks = json.loads(capsys.readouterr().out)["checks"]
    return {each["code"]: (each["severity"], each["seen"]) for each in checks}


def test_a_kubelet_that_listens_is_seen(running: Host, capsys: pytest.CaptureFixture[str]) -> None:
    """And one that has ended, of which the socket is left; and the directory's rights."""
    found = seen(running, capsys)
    assert found["ND020"][0] == "ok"
    assert found["ND021"] == ("ok", "/var/lib/kubelet/device-plugins: mode 0750")
    assert found["ND022"][1].startswith("1 sockets of an agent")
    folder = running.folder / "var/lib/kubelet/device-plugins"
    (folder / "kubelet.sock").unlink()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(folder / "kubelet.sock"))
    folder.chmod(0o777)
    found = seen(running, capsys)
    assert found["ND020"][0] == "error"
    assert found["ND021"][0] == "warning"


def test_kubelet_is_asked_what_it_gives_away(
    running: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    """Over its socket; without static managers it gives away nothing."""
    folder = running.folder / "var/lib/kubelet/pod-resources"
    folder.mkdir()
    kubelet = GrpcioPodResources()
    with kubelet.served(folder / "kubelet.sock"):
        assert seen(running, capsys)["ND010"][0] == "warning"
        kubelet.allocatable.cpu_ids.extend([1, 2, 3])
        kubelet.allocatable.memory.add(memory_type="memory", size=1).topology.nodes.add(ID=1)
        given = "kubelet gives away CPUs 1-3 and memory of NUMA node 1 exclusively"
        assert seen(running, capsys)["ND010"] == ("ok", given)
        kubelet.allocatable = lambda context: context.abort(grpc.StatusCode.UNAVAILABLE, "later")
        severity, told = seen(running, capsys)["ND010"]
        assert (severity, "UNAVAILABLE: later" in told) == ("unknown", True)


class _Agent(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200 if self.path == "/readyz" else 404)
        self.end_headers()
        self.wfile.write(READY.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def test_the_agent_is_asked_where_it_is_said_to_be(
    running: Host, capsys: pytest.CaptureFixture[str]
) -> None:
    """Elsewhere than on this host only with --agent; a capture has the answer."""
    server = HTTPServer(("127.0.0.1", 0), _Agent)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    try:
        address = f"127.0.0.1:{server.server_port}"
        assert seen(running, capsys, "--agent", address)["ND022"] == (
            "ok",
            f"/readyz: {READY.strip()}",
        )
        out = running.folder / "out.tar.gz"
        assert (
            main(
                ["doctor", "--root", str(running.folder), "--agent", address, "--capture", str(out)]
            )
            == 0
        )
    finally:
        server.shutdown()
        server.server_close()
    capsys.readouterr()
    main(["doctor", "--root", str(out), "--output", "json"])
    checks = {c["code"]: c["severity"] for c in json.loads(capsys.readouterr().out)["checks"]}
    assert (checks["ND020"], checks["ND022"]) == ("ok", "ok")


def test_a_pod_sees_the_kernel_of_its_host(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With --this-kernel, /sys and /proc are those of where it runs; processes are the root's."""
    host = Host.of(tmp_path, "kubeadm")
    for folder in ("sys", "proc/sys"):
        subprocess.run(["rm", "-r", host.folder / folder], check=True)
    host.remove("/proc/meminfo")
    found = seen(host, capsys, "--this-kernel")
    online = Path("/sys/devices/system/cpu/online").read_text().strip()
    assert found["ND017"][0] != "unknown", online
    assert found["ND001"][1].endswith("kubelet runs")


def test_this_machine_can_be_looked_at(capsys: pytest.CaptureFixture[str]) -> None:
    """Whatever it has: every check says something."""
    assert main(["doctor", "--output", "json"]) in (0, 1)
    assert len(json.loads(capsys.readouterr().out)["checks"]) == len(CHECKS)
