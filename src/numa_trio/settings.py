"""The settings: environment variables that begin with NUMA_, checked all at once."""

import re
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from enum import StrEnum
from pathlib import Path
from typing import Any, TypeVar, cast

import attrs
import environ

from numa_trio.plugin.advertising import CpulessNodes

PREFIX = "NUMA"

# A list of more slots would not fit the 4 MiB that kubelet's gRPC client accepts in one message.
# The figure holds for the longest ids (node 1023, all unhealthy); a test encodes such a list.
MAX_CAPACITY = 113_300

# sockaddr_un.sun_path holds 108 bytes with the final NUL (unix(7)).
MAX_SOCKET_PATH_BYTES = 107

# The longest file name that a socket can get before its instance suffix.
_LONGEST_SOCKET_NAME = "numa-1023.sock"

# Kubernetes sets variables like these for each Service of the namespace; they are not ours.
_SERVICE_LINK = re.compile(
    r"_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT(_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)?$"
)
_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_INSTANCE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")

E = TypeVar("E", bound=StrEnum)


class BadConfiguration(Exception):
    """The configuration cannot be used; `problems` has a line for each thing wrong with it."""

    def __init__(self, *problems: str) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class LogFormat(StrEnum):
    """`auto` is text on a terminal and JSON lines elsewhere."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """The least level that is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


@attrs.frozen
class HttpAddress:
    """Where the HTTP server listens; an empty host means every address of the machine."""

    host: str
    port: int


def _capacity(text: str) -> int:
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= MAX_CAPACITY:
        raise ValueError(
            f"expected a whole number from 1 to {MAX_CAPACITY}"
            " (a longer list of slots does not fit kubelet's limit of 4 MiB a message)"
        )
    return int(text)


def _absolute_path(text: str) -> Path:
    path = Path(text)
    if not path.is_absolute() or "\0" in text:
        raise ValueError("expected an absolute path")
    return path


def _socket_dir(text: str) -> Path | None:
    return _absolute_path(text) if text else None


def _resource_domain(text: str) -> str:
    # k8s.io/kubernetes pkg/apis/core/v1/helper IsExtendedResourceName: the name prefixed with
    # "requests." must still have a DNS subdomain of at most 253 characters before its slash.
    if not _DNS_SUBDOMAIN.fullmatch(text) or len(text) > 253 - len("requests."):
        raise ValueError(
            "expected a DNS subdomain of at most 244 characters"
            " (lower-case letters, digits, '-' and '.'), as in numa-align"
        )
    # Kubelet looks for "kubernetes.io/" anywhere in the name, also behind other letters.
    if text.endswith("kubernetes.io") or text.startswith("requests."):
        raise ValueError(
            "what ends with kubernetes.io or begins with 'requests.' is reserved by Kubernetes;"
            " expected a domain of your own, as in numa-align"
        )
    return text


def _instance(text: str) -> str:
    if text and (not _INSTANCE.fullmatch(text) or len(text) > 63):
        raise ValueError(
            "expected at most 63 letters, digits, '-', '_' or '.',"
            " with a letter or digit first and last; or nothing"
        )
    return text


def _http_address(text: str) -> HttpAddress | None:
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
    elif set(host) & set(":[]"):
        colon = ""
    if not colon or not re.fullmatch(r"[0-9]{1,5}", port) or int(port) > 65535 or " " in host:
        raise ValueError(
            "expected host:port or :port with a port from 0 to 65535, an IPv6 address in brackets,"
            " as in :9410, 127.0.0.1:9410 or [::1]:9410; or nothing to turn HTTP off"
        )
    return HttpAddress(host, int(port))


def _interval(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0.0
    if not 1 <= seconds <= 86400:
        raise ValueError("expected a number of seconds from 1 to 86400")
    return seconds


def _one_of(choices: type[E]) -> Callable[[str], E]:
    def convert(text: str) -> E:
        try:
            return choices(text.lower())
        except ValueError:
            raise ValueError(f"expected one of {', '.join(choices)}") from None

    return convert


def _setting(default: str, convert: Callable[[str], Any], description: str) -> Any:
    return environ.var(default=default, converter=convert, help=description)


@environ.config(prefix=PREFIX, frozen=True)
class Settings:
    """One attribute for each variable: `capacity` is NUMA_CAPACITY, and so on."""

    capacity: int = _setting("100", _capacity, "slots of each NUMA node: how many containers fit")
    socket_dir: Path | None = _setting(
        "", _socket_dir, "kubelet's device-plugin directory; empty: detected"
    )
    sysfs_root: Path = _setting("/sys", _absolute_path, "where sysfs is mounted")
    resource_domain: str = _setting(
        "numa-align", _resource_domain, "domain of the resource names: <domain>/numa-<N>"
    )
    cpuless_nodes: CpulessNodes = _setting(
        "skip",
        _one_of(CpulessNodes),
        "NUMA nodes without CPUs (GPU memory, CXL): skip or advertise them",
    )
    instance: str = _setting(
        "",
        _instance,
        "suffix of the sockets' names, so that two instances can serve at once in a rolling update",
    )
    http_addr: HttpAddress | None = _setting(
        ":9410", _http_address, "where /livez, /readyz and /metrics are served; empty: nowhere"
    )
    topology_interval: float = _setting(
        "30", _interval, "seconds between two looks at the NUMA nodes"
    )
    log_format: LogFormat = _setting(
        "auto", _one_of(LogFormat), "json, text, or auto: text on a terminal, json elsewhere"
    )
    log_level: LogLevel = _setting("info", _one_of(LogLevel), "debug, info, warning or error")


def variable_name(attribute: str) -> str:
    """The environment variable of an attribute of `Settings`."""
    return f"{PREFIX}_{attribute.upper()}"


def known_variables() -> dict[str, str]:
    """The variables that are read, each with its description."""
    fields = attrs.fields_dict(cast("type[attrs.AttrsInstance]", Settings))
    return {
        variable_name(name): field.metadata["environ_config"].help for name, field in fields.items()
    }


def load_settings(variables: Mapping[str, str]) -> Settings:
    """Read the settings; raises `BadConfiguration` that names every bad value at once.

    White space around a value does not count.
    """
    ours = {name: variables[name].strip() for name in known_variables() if name in variables}
    problems = []
    for name, value in ours.items():
        try:
            environ.to_config(Settings, {name: value})
        except ValueError as problem:
            problems.append(f"{name}={value!r}: {problem}")
    paths: dict[str, str] = {
        name: ours[name] for name in ("NUMA_SOCKET_DIR", "NUMA_INSTANCE") if name in ours
    }
    try:
        where = environ.to_config(Settings, paths)
        if where.socket_dir is not None:
            check_socket_paths(where.socket_dir, where.instance)
    except BadConfiguration as problem:
        problems.extend(problem.problems)
    except ValueError:
        pass  # one of the two is bad in itself, and among the problems already
    if problems:
        raise BadConfiguration(*problems)
    return environ.to_config(Settings, ours)


def check_socket_paths(directory: Path, instance: str) -> None:
    """Raise `BadConfiguration` if a socket's path would exceed what the kernel allows."""
    suffix = f"-{instance}" if instance else ""
    longest = len(bytes(directory / _LONGEST_SOCKET_NAME)) + len(suffix)
    if longest > MAX_SOCKET_PATH_BYTES:
        raise BadConfiguration(
            f"NUMA_SOCKET_DIR={str(directory)!r} with NUMA_INSTANCE={instance!r}:"
            f" a socket's path would take {longest} bytes; at most {MAX_SOCKET_PATH_BYTES} fit"
            " (choose a shorter directory or instance)"
        )


def unknown_variables(variables: Mapping[str, str]) -> list[tuple[str, str | None]]:
    """The NUMA_ variables that nothing reads, each with the nearest known name if one is near."""
    known = known_variables()
    return [
        (name, next(iter(get_close_matches(name, known, n=1)), None))
        for name in sorted(variables)
        if name.startswith(f"{PREFIX}_") and name not in known and not _SERVICE_LINK.search(name)
    ]
