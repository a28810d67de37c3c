"""The settings: environment variables that begin with NUMA_, checked all at once."""

import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from pathlib import Path
from typing import Any

from attrs import field, fields, frozen

from numa_trio.kubelet.plugin_socket import socket_name
from numa_trio.near.unknown_node import UnknownNode
from numa_trio.plain_text import quoted
from numa_trio.plugin.advertising import CpulessNodes
from numa_trio.plugin.counted import Counted
from numa_trio.plugin.environment import Environment
from numa_trio.setting_values import (
    HttpAddress,
    LogFormat,
    LogLevel,
    MemoryPolicy,
    PinnedPart,
    parse_absolute_path,
    parse_capacity,
    parse_counted,
    parse_host_name,
    parse_http_address,
    parse_instance,
    parse_interval,
    parse_memory_unit,
    parse_one_of,
    parse_optional_path,
    parse_pinned_parts,
    parse_resource_domain,
)

PREFIX = "NUMA"

# sockaddr_un.sun_path holds 108 bytes with the final NUL (unix(7)).
MAX_SOCKET_PATH_BYTES = 107

# The longest name that the plain slots of a node can have: Linux has at most 1024 nodes.
_LONGEST_SLOTS_NAME = "numa-1023"

# Kubernetes sets variables like these for each Service of the namespace; they are not ours.
_SERVICE_LINK = re.compile(
    r"_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$"
)

# A person's white space. Other kinds, such as a word processor's no-break space, are an error.
_WHITE_SPACE = " \t\r\n"

# A bad value is shown up to so many characters: every good one is shorter, but for paths.
_LONGEST_SHOWN = 300


class BadConfiguration(Exception):
    """The configuration cannot be used; `problems` has a line for each thing wrong with it."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@frozen
class Variable:
    """How an attribute is read: the text that is the default, what parses it, what it means."""

    default: str
    parse: Callable[[str], Any]
    meaning: str


_VARIABLE = "variable"


def _variable(default: str, parse: Callable[[str], Any], meaning: str) -> dict[str, Variable]:
    """The metadata of an attribute of `Settings`."""
    return {_VARIABLE: Variable(default, parse, meaning)}


@frozen
class Settings:
    """One attribute for each variable: `capacity` is NUMA_CAPACITY, and so on."""

    capacity: int = field(
        metadata=_variable(
            "100", parse_capacity, "slots of each NUMA node: how many containers fit"
        )
    )
    socket_dir: Path | None = field(
        metadata=_variable(
            "", parse_optional_path, "kubelet's device-plugin directory; empty: detected"
        )
    )
    sysfs_root: Path = field(
        metadata=_variable("/sys", parse_absolute_path, "where sysfs is mounted")
    )
    resource_domain: str = field(
        metadata=_variable(
            "numa-align",
            parse_resource_domain,
            "domain of the resource names: <domain>/numa-<N>",
        )
    )
    cpuless_nodes: CpulessNodes = field(
        metadata=_variable(
            "skip",
            parse_one_of(CpulessNodes),
            "NUMA nodes without CPUs (GPU memory, CXL): skip or advertise them",
        )
    )
    instance: str = field(
        metadata=_variable(
            "",
            parse_instance,
            "suffix of the sockets' names, so that two instances can serve at once in a rolling"
            " update",
        )
    )
    http_addr: HttpAddress | None = field(
        metadata=_variable(
            ":9410",
            parse_http_address,
            "where /, /livez, /readyz and /metrics are served; empty: nowhere",
        )
    )
    host_name: str = field(
        metadata=_variable(
            "",
            parse_host_name,
            "the server's name, for the page and the JSON log; empty: the hostname, which in a"
            " container is the pod's",
        )
    )
    topology_interval: float = field(
        metadata=_variable("30", parse_interval, "seconds between two looks at the NUMA nodes")
    )
    counted: tuple[Counted, ...] = field(
        metadata=_variable(
            "",
            parse_counted,
            "what is counted of each node as a resource of its own: cpu, or cpu,memory; empty:"
            " nothing",
        )
    )
    memory_unit: int = field(
        metadata=_variable(
            "1Gi", parse_memory_unit, "how much memory one device of numa-<N>-memory stands for"
        )
    )
    pod_resources_socket: Path | None = field(
        metadata=_variable(
            "", parse_optional_path, "the socket of kubelet's pod-resources API; empty: detected"
        )
    )
    pod_resources_interval: float = field(
        metadata=_variable(
            "10", parse_interval, "seconds between two questions to kubelet's pod-resources API"
        )
    )
    near: str = field(
        metadata=_variable(
            "",
            str,
            "names for what resources are near, as in data=/var/lib/data,fabric=net:eth2: each is"
            " offered as near-<name>",
        )
    )
    near_file: Path | None = field(
        metadata=_variable(
            "", parse_optional_path, "a YAML file with more such names, as in 'data: /var/lib/data'"
        )
    )
    near_unknown: UnknownNode = field(
        metadata=_variable(
            "skip",
            parse_one_of(UnknownNode),
            "what is there but tells no NUMA node: skip it, or offer it near any",
        )
    )
    host_root: Path | None = field(
        metadata=_variable(
            "",
            parse_optional_path,
            "where the host's /, or parts of it, are mounted, for what resources are near",
        )
    )
    env: Environment = field(
        metadata=_variable(
            "minimal",
            parse_one_of(Environment),
            "what a container is told: minimal is NUMA_NODE; full also what its NUMA node has",
        )
    )
    nri: tuple[PinnedPart, ...] = field(
        metadata=_variable(
            "off",
            parse_pinned_parts,
            "what the container runtime is asked to pin of a container, over NRI: cpus,mems, or"
            " mems; or off",
        )
    )
    nri_socket: Path = field(
        metadata=_variable(
            "/var/run/nri/nri.sock",
            parse_absolute_path,
            "where the container runtime listens for its plugins",
        )
    )
    memory_policy: MemoryPolicy = field(
        metadata=_variable(
            "bind",
            parse_one_of(MemoryPolicy),
            "with NUMA_NRI, memory comes only from the container's NUMA node (bind), or from there"
            " first (prefer), where the runtime can do that",
        )
    )
    log_format: LogFormat = field(
        metadata=_variable(
            "auto",
            parse_one_of(LogFormat),
            "json, text, or auto: text on a terminal, json elsewhere",
        )
    )
    log_level: LogLevel = field(
        metadata=_variable("info", parse_one_of(LogLevel), "debug, info, warning or error")
    )


def variable_name(attribute: str) -> str:
    """The environment variable of an attribute of `Settings`."""
    return f"{PREFIX}_{attribute.upper()}"


def known_variables() -> dict[str, str]:
    """The variables that are read, each with its meaning."""
    return {
        variable_name(attribute): variable.meaning for attribute, variable in _declared_variables()
    }


def defaults() -> dict[str, str]:
    """The text that each variable is taken to have where it is not set."""
    return {
        variable_name(attribute): variable.default for attribute, variable in _declared_variables()
    }


def load_settings(variables: Mapping[str, str]) -> Settings:
    """Read the settings; raises `BadConfiguration` that names every bad value at once.

    White space around a value does not count.
    """
    parsed = {}
    problems = []
    for attribute, variable in _declared_variables():
        name = variable_name(attribute)
        text = variables.get(name, variable.default).strip(_WHITE_SPACE)
        try:
            parsed[attribute] = variable.parse(text)
        except ValueError as problem:
            problems.append(f"{name}={quoted(text, _LONGEST_SHOWN)}: {problem}")
    try:
        if parsed.get("socket_dir") and "instance" in parsed:
            check_socket_paths(parsed["socket_dir"], parsed["instance"])
    except BadConfiguration as problem:
        problems += problem.problems
    if problems:
        raise BadConfiguration(*problems)
    return Settings(**parsed)


def _declared_variables() -> Iterator[tuple[str, Variable]]:
    """The attributes of `Settings`, each with the variable it is read from."""
    for attribute in fields(Settings):
        yield attribute.name, attribute.metadata[_VARIABLE]


def check_socket_paths(
    directory: Path, instance: str, local_name: str = _LONGEST_SLOTS_NAME
) -> None:
    """Raise `BadConfiguration` if the path of a socket would exceed what the kernel allows.

    `local_name` is the longest that a resource can have, without the domain.
    """
    file_name = socket_name(local_name, instance)
    length = len(bytes(directory / file_name))
    if length > MAX_SOCKET_PATH_BYTES:
        named = "" if local_name == _LONGEST_SLOTS_NAME else f" of {local_name}"
        shorter = "directory or instance" if not named else "directory, instance or name"
        raise BadConfiguration(
            f"NUMA_SOCKET_DIR={quoted(str(directory), _LONGEST_SHOWN)}"
            f" with NUMA_INSTANCE={quoted(instance)}: the path of a socket{named}, {file_name},"
            f" would take {length} bytes; at most {MAX_SOCKET_PATH_BYTES} fit"
            f" (choose a shorter {shorter})"
        )


def unknown_variables(variables: Mapping[str, str]) -> list[tuple[str, str | None]]:
    """The NUMA_ variables that nothing reads, each with the nearest known name if one is near."""
    known = known_variables()
    return [
        (name, next(iter(get_close_matches(name, known, n=1)), None))
        for name in sorted(variables)
        if name.startswith(f"{PREFIX}_") and name not in known and not _SERVICE_LINK.search(name)
    ]
