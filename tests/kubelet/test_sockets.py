"""Socket files: kubelet's generations, and our own sockets, bound with care."""

import errno
import logging
import os
import socket
import stat
import subprocess
import sys
from fnmatch import fnmatchcase
from pathlib import Path

import pytest
import trio
from hypothesis import given
from hypothesis import strategies as st

from capabilities import no_capabilities
from numa_trio.kubelet.directory import choose_directory
from numa_trio.kubelet.plugin_socket import (
    PluginSocket,
    SocketInUse,
    is_plugin_socket_name,
    remove_dead_sockets,
    resource_of_socket,
    socket_name,
)
from numa_trio.kubelet.socket import KubeletSocket
from numa_trio.kubelet.socket_file import Peer, SocketIdentity, listener_at, peer_of
from numa_trio.kubelet.watch import DirectoryWatch
from numa_trio.plugin.resource import NumaResource
from numa_trio.setting_values import parse_instance

PATIENCE = 30.0


def leave_dead_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as abandoned:
        abandoned.bind(str(path))


def test_two_lives_of_a_socket_differ_even_with_one_inode(tmp_path: Path) -> None:
    """File systems hand the inode number out again; the time tells the two apart."""
    path = tmp_path / "kubelet.sock"
    identities = set()
    for _ in range(5):
        leave_dead_socket(path)
        identity = SocketIdentity.at(path)
        identities.add(identity)
        assert SocketIdentity.at(path) == identity
        path.unlink()
        # Kubelet takes some 20 ms between the two; file times are of 10 ms at worst.
        earlier = path.parent.stat().st_mtime_ns
        while path.parent.stat().st_mtime_ns - earlier < 10_000_000:
            (tmp_path / "tick").touch()
            (tmp_path / "tick").unlink()
    assert len(identities) == 5


def test_what_is_no_socket_has_no_identity(tmp_path: Path) -> None:
    """Files, directories, dangling links and missing parents."""
    (tmp_path / "file").touch()
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("file", "link", "missing", "file/below", "."):
        assert SocketIdentity.at(tmp_path / name) is None


def test_finds_the_process_that_listens(tmp_path: Path) -> None:
    """A live listener, also one whose queue is full; a dead file; no file."""
    path = tmp_path / "some.sock"
    assert listener_at(path) is None
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        assert listener_at(path) is None
        listener.listen(0)
        assert listener_at(path) == Peer(os.getpid(), os.geteuid())
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK) as waiting:
            with pytest.raises(BlockingIOError):
                waiting.connect(str(path))
            assert listener_at(path) is not None
    assert listener_at(path) is None


def test_peer_is_known_by_pid_and_uid() -> None:
    """SO_PEERCRED of a connection."""
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert peer_of(ours) == Peer(os.getpid(), os.geteuid())


def test_our_sockets_are_0600_whatever_the_umask(tmp_path: Path) -> None:
    """Never wider, not even for a moment; and not narrower, either."""
    program = (
        "import os, sys; from pathlib import Path\n"
        "from numa_trio.kubelet.plugin_socket import PluginSocket\n"
        "os.umask(int(sys.argv[1], 8)); path = Path(sys.argv[2])\n"
        "with PluginSocket.bind(path): print(oct(path.stat().st_mode & 0o7777))"
    )
    for umask in ("000", "022", "077", "777"):
        command = [sys.executable, "-c", program, umask, str(tmp_path / "numa-0.sock")]
        shown = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        assert shown == "0o600\n"


def test_no_moment_in_which_others_may_connect(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Under a umask of 0 the file that bind() makes is 0600 already, before any chmod."""
    before = os.umask(0)
    try:
        with monkeypatch.context() as unmended:
            unmended.setattr(Path, "chmod", lambda *_arguments: None)
            with PluginSocket.bind(tmp_path / "numa-0.sock") as bound:
                assert stat.S_IMODE(bound.path.stat().st_mode) == 0o600
    finally:
        os.umask(before)


def test_binding_replaces_a_dead_socket_and_removes_its_own(tmp_path: Path) -> None:
    """Left behind by a killed process, a file is no hindrance; ours goes with us."""
    path = tmp_path / "numa-0.sock"
    leave_dead_socket(path)
    with PluginSocket.bind(path) as bound:
        assert bound.in_place()
        assert listener_at(path) == Peer(os.getpid(), os.geteuid())
    assert not path.exists()


def test_leaves_a_successors_socket_alone(tmp_path: Path) -> None:
    """What stands at the path is another's by the time that we close."""
    path = tmp_path / "numa-0.sock"
    with PluginSocket.bind(path) as bound:
        path.rename(tmp_path / "elsewhere")
        leave_dead_socket(path)
        assert not bound.in_place()
    assert path.exists()


def test_refuses_a_socket_on_which_a_process_listens(tmp_path: Path) -> None:
    """The error names the process and what to do."""
    path = tmp_path / "numa-0.sock"
    with (
        PluginSocket.bind(path) as first,
        pytest.raises(SocketInUse, match=rf"process {os.getpid()} listens.*NUMA_INSTANCE"),
    ):
        PluginSocket.bind(path)
    assert first.listener.fileno() == -1


def test_a_live_socket_of_mode_0_is_not_taken(tmp_path: Path) -> None:
    """Its owner may look who listens there, whatever the mode says."""
    path = tmp_path / "numa-0.sock"
    with PluginSocket.bind(path), no_capabilities():
        path.chmod(0)
        with pytest.raises(SocketInUse, match=rf"process {os.getpid()} listens"):
            PluginSocket.bind(path)
        assert remove_dead_sockets(tmp_path) == []
        assert path.exists()


def test_a_socket_to_which_connecting_is_denied_otherwise_is_left_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the mode is not the reason, changing it would only wake who watches the directory."""
    path = tmp_path / "numa-0.sock"
    leave_dead_socket(path)
    path.chmod(0o600)
    before = path.stat().st_ctime_ns

    def refuse(*_arguments: object) -> None:
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))

    monkeypatch.setattr(socket.socket, "connect", refuse)
    with pytest.raises(PermissionError):
        PluginSocket.bind(path)
    assert remove_dead_sockets(tmp_path) == []
    assert path.stat().st_ctime_ns == before


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_SEQPACKET])
def test_a_socket_of_another_type_is_in_use(tmp_path: Path, kind: socket.SocketKind) -> None:
    """Connecting to a datagram socket fails with EPROTOTYPE: somebody has it, and it stays."""
    path = tmp_path / "numa-0.sock"
    with socket.socket(socket.AF_UNIX, kind) as other:
        other.bind(str(path))
        if kind is socket.SOCK_SEQPACKET:
            other.listen()
        with pytest.raises(SocketInUse, match="another process listens"):
            PluginSocket.bind(path)
        assert remove_dead_sockets(tmp_path) == []
    with PluginSocket.bind(path) as bound:
        assert bound.in_place()


def test_moves_aside_what_is_no_socket(tmp_path: Path) -> None:
    """Files and directories with our socket's name lose nothing."""
    (tmp_path / "numa-0.sock").write_text("precious")
    (tmp_path / "numa-1.sock").mkdir()
    (tmp_path / "numa-1.sock" / "child").touch()
    with PluginSocket.bind(tmp_path / "numa-0.sock"), PluginSocket.bind(tmp_path / "numa-1.sock"):
        assert stat.S_ISSOCK((tmp_path / "numa-0.sock").stat().st_mode)
    assert (tmp_path / "numa-0.sock.displaced").read_text() == "precious"
    assert (tmp_path / "numa-1.sock.displaced" / "child").exists()


def test_what_is_displaced_later_displaces_nothing(tmp_path: Path) -> None:
    """The third file that stands in our socket's place is kept like the first and the second."""
    path = tmp_path / "numa-0.sock"
    for content in ("first", "second", "third"):
        path.write_text(content)
        PluginSocket.bind(path).close()
    kept = {file.name: file.read_text() for file in tmp_path.iterdir()}
    assert kept == {
        "numa-0.sock.displaced": "first",
        "numa-0.sock.displaced2": "second",
        "numa-0.sock.displaced3": "third",
    }


def test_binding_where_nothing_can_be_bound_is_an_error_and_leaks_nothing(tmp_path: Path) -> None:
    """A missing directory: an OSError, and no descriptor is left."""
    before = len(list(Path("/proc/self/fd").iterdir()))
    with pytest.raises(FileNotFoundError):
        PluginSocket.bind(tmp_path / "missing" / "numa-0.sock")
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_removes_dead_sockets_of_ours_and_nothing_else(tmp_path: Path) -> None:
    """Other plugins' sockets, live sockets and files stay."""
    ours = ["numa-0.sock", "numa-1-cpu+.sock", "numa-1-old.sock", "numa-near-data+old.sock"]
    for name in (*ours, "gpu.sock", "numa-x.sock", "kubelet.sock"):
        leave_dead_socket(tmp_path / name)
    (tmp_path / "numa-3.sock").touch()
    with PluginSocket.bind(tmp_path / "numa-2-live.sock"):
        assert remove_dead_sockets(tmp_path) == ours
        assert {path.name for path in tmp_path.iterdir()} == {
            "gpu.sock",
            "numa-x.sock",
            "kubelet.sock",
            "numa-3.sock",
            "numa-2-live.sock",
        }
    assert remove_dead_sockets(tmp_path / "missing") == []


@pytest.mark.parametrize(
    ("local_name", "instance", "name"),
    [
        ("numa-0", "", "numa-0.sock"),
        ("numa-12", "3f-9", "numa-12-3f-9.sock"),
        ("numa-1", "cpu", "numa-1-cpu.sock"),
        ("numa-1-cpu", "", "numa-1-cpu+.sock"),
        ("numa-1-cpu", "3f-9", "numa-1-cpu+3f-9.sock"),
        ("near-data", "", "numa-near-data+.sock"),
        ("near-data", "new", "numa-near-data+new.sock"),
        ("near-numa-1", "", "numa-near-numa-1+.sock"),
    ],
)
def test_socket_names_match_the_contract(local_name: str, instance: str, name: str) -> None:
    """`numa-*.sock`, and recognized as ours, with what they serve."""
    assert socket_name(local_name, instance) == name
    assert resource_of_socket(name) == local_name
    assert is_plugin_socket_name(name)


WORD = r"[A-Za-z0-9]([-A-Za-z0-9_.]{0,20}[A-Za-z0-9])?"
INSTANCES = st.just("") | st.from_regex(WORD, fullmatch=True)
LOCAL_NAMES = st.from_regex(rf"(numa-[0-9]{{1,4}}(-{WORD})?|near-{WORD})", fullmatch=True)


@given(LOCAL_NAMES, INSTANCES, LOCAL_NAMES, INSTANCES)
def test_the_name_of_a_socket_tells_its_resource(
    local_name: str, instance: str, other_name: str, other_instance: str
) -> None:
    """For every resource and instance that can be; and no two of them share a socket."""
    assert NumaResource(local_name, (0,), 1).local_name == local_name
    assert parse_instance(instance) == instance
    name = socket_name(local_name, instance)
    assert fnmatchcase(name, "numa-*.sock")
    assert resource_of_socket(name) == local_name
    same = (local_name, instance) == (other_name, other_instance)
    assert (name == socket_name(other_name, other_instance)) is same


@pytest.mark.parametrize(
    "name",
    [
        "numa-.sock",
        "numa-x.sock",
        "numa-1.sock.displaced",
        "numa-1-cpu+.sock.displaced",
        "numa-1+.sock",
        "numa-1-+.sock",
        "numa-data+.sock",
        "numa-near+.sock",
        "numa-near-+.sock",
        "numa-near-data.sock",
        "numa-1-cpu+a+b.sock",
        "near-data+.sock",
        "numa-٣.sock",
        "kubelet.sock",
    ],
)
def test_other_names_are_not_ours(name: str) -> None:
    """Whatever has such a name is left alone."""
    assert resource_of_socket(name) is None
    assert not is_plugin_socket_name(name)


def test_chooses_the_first_directory_with_a_kubelet_socket(tmp_path: Path) -> None:
    """Configured; else detected; else the standard one, which is the first: and it says why."""
    known = [tmp_path / name for name in ("standard", "rke2", "k3s")]
    assert choose_directory(None, known).path == known[0]
    assert "no known directory" in choose_directory(None, known).reason
    for directory in known[1:]:
        directory.mkdir()
        leave_dead_socket(directory / "kubelet.sock")
    chosen = choose_directory(None, known)
    assert chosen.path == known[1]
    assert "detected" in chosen.reason
    configured = choose_directory(tmp_path, known)
    assert configured.path == tmp_path
    assert "NUMA_SOCKET_DIR" in configured.reason


async def test_each_kubelet_socket_is_one_generation(tmp_path: Path, nursery: trio.Nursery) -> None:
    """Created, replaced by rename, deleted and created: three generations, by real events."""
    watch = DirectoryWatch(tmp_path, sweep_interval=3600)
    await nursery.start(watch.run)
    path = tmp_path / "kubelet.sock"
    kubelet_socket = KubeletSocket(path, watch)
    found: list[SocketIdentity] = []
    with trio.fail_after(PATIENCE):
        nursery.start_soon(_create_soon, path)
        found.append(await kubelet_socket.appeared())
        leave_dead_socket(tmp_path / "new")
        (tmp_path / "new").rename(path)
        await kubelet_socket.ended(found[-1])
        found.append(await kubelet_socket.appeared())
        path.unlink()
        await kubelet_socket.ended(found[-1])
        nursery.start_soon(_create_soon, path)
        found.append(await kubelet_socket.appeared())
    assert len(set(found)) == 3


async def _create_soon(path: Path) -> None:
    await trio.sleep(0.02)
    leave_dead_socket(path)


async def test_what_is_no_socket_is_no_generation(
    tmp_path: Path, nursery: trio.Nursery, caplog: pytest.LogCaptureFixture
) -> None:
    """A file named kubelet.sock is waited out, and said to be none."""
    path = tmp_path / "kubelet.sock"
    path.touch()
    kubelet_socket = KubeletSocket(path, DirectoryWatch(tmp_path))
    with caplog.at_level(logging.INFO):
        assert kubelet_socket.generation() is None
        assert kubelet_socket.generation() is None
        path.unlink()
        assert kubelet_socket.generation() is None
    assert caplog.messages == [
        f"Waiting for kubelet: {path} is not a socket",
        f"Waiting for kubelet: {path} does not exist yet",
    ]
    assert (
        KubeletSocket(tmp_path / "no" / "kubelet.sock", DirectoryWatch(tmp_path)).generation()
        is None
    )


def test_long_instance_is_told_by_a_digest_behind_a_plus() -> None:
    """So that the longest names fit; two instances still have two names, and each its resource."""
    first, second = (socket_name("near-data", f"{digit}" * 36) for digit in "12")
    assert len(first) == len(second) == len("numa-near-data+") + 12 + len(".sock")
    assert first != second
    assert resource_of_socket(first) == resource_of_socket(second) == "near-data"
    assert socket_name("near-data", "x" * 12) == f"numa-near-data+{'x' * 12}.sock"
    assert socket_name("numa-1", "x" * 36) == f"numa-1-{'x' * 36}.sock"
