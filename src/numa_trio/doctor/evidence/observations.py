"""What only a running host shows: sockets that are alive, rights, the agent, and kubelet's answers.

A capture has it in a file of its own, beside the host's files.
"""

import json
import stat
from collections.abc import Mapping
from pathlib import Path

from attrs import frozen

from numa_trio.doctor.evidence.host_files import HostFiles
from numa_trio.doctor.evidence.readyz import Answer
from numa_trio.doctor.evidence.seen import Missing
from numa_trio.kubelet.directory import KUBELET_SOCKET, STANDARD_DIRECTORY
from numa_trio.kubelet.socket_file import SocketIdentity, listener_at
from numa_trio.topology.lists import MalformedText, format_list, parse_list

FILE = "numa-trio-doctor.json"
VERSION = 1
DIRECTORY = str(STANDARD_DIRECTORY)
_SOCKETS = "numa-*.sock"
_MOST_SOCKETS = 4096


class NotACapture(Exception):
    """A file that a capture has cannot be used."""


@frozen
class GivenAway:
    """What kubelet can give to containers for themselves: CPUs, and the NUMA nodes of memory."""

    cpus: frozenset[int]
    memory_nodes: frozenset[int]


@frozen
class Observations:
    """`kubelet` is whether somebody listens on kubelet.sock; `mode` is the directory's rights.

    `sockets` are those of the agent in kubelet's directory.
    """

    kubelet: bool | Missing
    mode: int | Missing
    sockets: tuple[str, ...]
    agent: Answer | Missing
    allocatable: GivenAway | Missing

    @property
    def pins_by_runtime(self) -> bool:
        """Whether the agent says that it has the container runtime pin (NUMA_NRI)."""
        lines = [] if isinstance(self.agent, Missing) else self.agent.text.splitlines()
        return any(line.startswith(("pinning: ", "not pinning: ")) for line in lines)


def observe(
    files: HostFiles, agent: Answer | Missing, allocatable: GivenAway | Missing
) -> Observations:
    """What the host shows now, with what others have asked already."""
    folder = files.where(DIRECTORY)
    return Observations(
        _kubelet(folder / KUBELET_SOCKET), _mode(folder), _agents(folder), agent, allocatable
    )


def _kubelet(path: Path) -> bool | Missing:
    try:
        if SocketIdentity.at(path) is None:
            return Missing(f"{DIRECTORY}/{KUBELET_SOCKET}: there is no such socket", absent=True)
        return listener_at(path) is not None
    except OSError as problem:
        return Missing(f"{DIRECTORY}/{KUBELET_SOCKET}: {problem.strerror or problem}")


def _mode(folder: Path) -> int | Missing:
    try:
        return stat.S_IMODE(folder.stat().st_mode)
    except FileNotFoundError:
        return Missing(f"{DIRECTORY}: there is no such directory", absent=True)
    except OSError as problem:
        return Missing(f"{DIRECTORY}: {problem.strerror or problem}")


def _agents(folder: Path) -> tuple[str, ...]:
    try:
        return tuple(sorted(path.name for path in folder.glob(_SOCKETS)))[:_MOST_SOCKETS]
    except OSError:
        return ()


def encode(seen: Observations, unreadable: Mapping[str, str]) -> bytes:
    """The file of a capture, with what could not be read of the host's."""
    document = {
        "version": VERSION,
        "kubelet": _value(seen.kubelet),
        "mode": _value(seen.mode),
        "sockets": [*seen.sockets],
        "agent": _missing(seen.agent)
        if isinstance(seen.agent, Missing)
        else {"status": seen.agent.status, "text": seen.agent.text},
        "allocatable": _missing(seen.allocatable)
        if isinstance(seen.allocatable, Missing)
        else {
            "cpus": format_list(seen.allocatable.cpus),
            "memory_nodes": format_list(seen.allocatable.memory_nodes),
        },
        "unreadable": dict(sorted(unreadable.items())),
    }
    return json.dumps(document, indent=2).encode() + b"\n"


def _value(value: int | Missing) -> object:
    return _missing(value) if isinstance(value, Missing) else value


def _missing(value: Missing) -> dict[str, object]:
    return {"missing": value.reason, "absent": value.absent}


def decode(content: bytes) -> tuple[Observations, dict[str, str]]:
    """The contents of such a file. Raises `NotACapture`."""
    try:
        value = json.loads(content)
        return _decoded(value)
    except json.JSONDecodeError as problem:
        raise NotACapture(
            f"{FILE}: is not JSON: line {problem.lineno}, column {problem.colno}: {problem.msg}"
        ) from None
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError, MalformedText):
        raise NotACapture(
            f"{FILE}: is not what `numa-trio doctor --capture` writes in version {VERSION}"
        ) from None


def _decoded(value: dict[str, object]) -> tuple[Observations, dict[str, str]]:
    if value["version"] != VERSION:
        raise ValueError
    agent = _part(value, "agent")
    allocatable = _part(value, "allocatable")
    kubelet, mode = value["kubelet"], value["mode"]
    sockets, unreadable = value["sockets"], value["unreadable"]
    if not isinstance(sockets, list) or not isinstance(unreadable, dict):
        raise TypeError
    seen = Observations(
        kubelet if isinstance(kubelet, bool) else _absence(kubelet),
        mode if isinstance(mode, int) else _absence(mode),
        tuple(map(str, sockets)),
        _absence(agent)
        if "missing" in agent
        else Answer(int(str(agent["status"])), str(agent["text"])),
        _absence(allocatable)
        if "missing" in allocatable
        else GivenAway(
            parse_list(str(allocatable["cpus"])), parse_list(str(allocatable["memory_nodes"]))
        ),
    )
    return seen, {str(path): str(reason) for path, reason in unreadable.items()}


def _part(value: dict[str, object], key: str) -> dict[str, object]:
    part = value[key]
    if not isinstance(part, dict):
        raise TypeError
    return part


def _absence(value: object) -> Missing:
    if not isinstance(value, dict):
        raise TypeError
    return Missing(str(value["missing"]), absent=bool(value["absent"]))
