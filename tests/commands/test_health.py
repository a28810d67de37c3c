"""`numa-trio health`: what it says of an agent, and its status."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from numa_trio.cli import main


class Agent(BaseHTTPRequestHandler):
    """Answers as the server's `status` and `text` say."""

    def do_GET(self) -> None:
        assert isinstance(self.server, _Server)
        found = self.path == "/readyz"
        self.send_response(self.server.status if found else 404)
        self.end_headers()
        self.wfile.write(self.server.text.encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


class _Server(HTTPServer):
    status = 200
    text = "ready: kubelet holds the stream of 2 of 2 resources\n"


@pytest.fixture
def agent(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Server]:
    server = _Server(("127.0.0.1", 0), Agent)
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}).start()
    monkeypatch.setenv("NUMA_HTTP_ADDR", f":{server.server_port}")
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()


def test_ready_is_status_0(agent: _Server, capsys: pytest.CaptureFixture[str]) -> None:
    """With all that /readyz says."""
    assert main(["health"]) == 0
    assert capsys.readouterr().out == agent.text


def test_not_ready_is_status_1(agent: _Server, capsys: pytest.CaptureFixture[str]) -> None:
    """What is missing is printed; nothing in it can write to the terminal."""
    agent.status, agent.text = 503, "not ready: \x1b[31m\n"
    assert main(["health"]) == 1
    assert capsys.readouterr().out == "not ready: \\x1b[31m\n"


def test_nobody_there_is_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The address that was tried is named."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    monkeypatch.setenv("NUMA_HTTP_ADDR", f"127.0.0.1:{port}")
    assert main(["health"]) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"the agent does not answer on 127.0.0.1, port {port}: ")


def test_silence_is_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is waited for no longer than was asked for."""
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        monkeypatch.setenv("NUMA_HTTP_ADDR", f"127.0.0.1:{deaf.getsockname()[1]}")
        assert main(["health", "--timeout", "0.05"]) == 1
    assert "no answer in time" in capsys.readouterr().err


def test_garbage_is_status_1(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever answers there is no agent."""
    with socket.create_server(("127.0.0.1", 0)) as other:

        def answer() -> None:
            peer, _ = other.accept()
            with peer:
                peer.recv(1000)
                peer.sendall(b"SSH-2.0-other\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        monkeypatch.setenv("NUMA_HTTP_ADDR", f"127.0.0.1:{other.getsockname()[1]}")
        assert main(["health"]) == 1
        thread.join()
    assert "does not answer" in capsys.readouterr().err


@pytest.mark.parametrize("address", ["", ":0"])
def test_without_http_it_is_status_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], address: str
) -> None:
    """Nobody could be asked."""
    monkeypatch.setenv("NUMA_HTTP_ADDR", address)
    assert main(["health"]) == 2
    assert "NUMA_HTTP_ADDR" in capsys.readouterr().err


@pytest.mark.parametrize("seconds", ["0", "-1", "nan", "x", "4000"])
def test_bad_timeout_is_usage(capsys: pytest.CaptureFixture[str], seconds: str) -> None:
    """What is expected is said."""
    with pytest.raises(SystemExit) as ended:
        main(["health", f"--timeout={seconds}"])
    assert ended.value.code == 2
    assert "expected a number of seconds above 0" in capsys.readouterr().err
