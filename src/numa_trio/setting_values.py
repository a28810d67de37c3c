"""The values that settings may have. Of any other text a `ValueError` says what is expected."""

import os
import re
import socket
from collections.abc import Callable
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import TypeVar

from attrs import frozen

from numa_trio.plugin.counted import Counted
from numa_trio.workloads.quantity import parse_quantity

# A list of more slots would not fit the 4 MiB that kubelet's gRPC client accepts in one message.
# The figure holds for the longest ids (node 1023, all unhealthy); a test encodes such a list.
MAX_CAPACITY = 113_300

# Bytes. Less would be a device for each few pages.
SMALLEST_MEMORY_UNIT = 2**20

_DNS_SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
_INSTANCE = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?")
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([-A-Za-z0-9_.]*[A-Za-z0-9_.])?")
_ZONE = re.compile(r"(%[-A-Za-z0-9_.]+)?")
_SECONDS = re.compile(r"[0-9]{1,5}(\.[0-9]{1,9})?")

E = TypeVar("E", bound=StrEnum)


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


class PinnedPart(StrEnum):
    """What the container runtime can pin of a container."""

    CPUS = "cpus"
    MEMS = "mems"


class MemoryPolicy(StrEnum):
    """Whether a pinned container's memory comes only from its NUMA node, or from there first."""

    BIND = "bind"
    PREFER = "prefer"


@frozen
class HttpAddress:
    """Where the HTTP server listens; an empty host means every address of the machine."""

    host: str
    port: int


def parse_capacity(text: str) -> int:
    """The number of slots."""
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= MAX_CAPACITY:
        raise ValueError(
            f"expected a whole number from 1 to {MAX_CAPACITY}"
            " (a longer list of slots does not fit kubelet's limit of 4 MiB a message)"
        )
    return int(text)


def parse_absolute_path(text: str) -> Path:
    """The path."""
    try:
        file_name = os.fsencode(text)
    except UnicodeEncodeError:  # no file name can hold it
        file_name = b""
    if not file_name.startswith(b"/") or b"\0" in file_name:
        raise ValueError("expected an absolute path")
    return Path(text)


def parse_optional_path(text: str) -> Path | None:
    """The path; None for an empty text."""
    return parse_absolute_path(text) if text else None


def parse_resource_domain(text: str) -> str:
    """The domain, as Kubernetes accepts it in the name of an extended resource."""
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


def parse_instance(text: str) -> str:
    """The suffix, which may be empty."""
    if text and (not _INSTANCE.fullmatch(text) or len(text) > 63):
        raise ValueError(
            "expected at most 63 letters, digits, '-', '_' or '.',"
            " with a letter or digit first and last; or nothing"
        )
    return text


def parse_host_name(text: str) -> str:
    """The name, which may be empty."""
    if text and (len(text) > 253 or not _HOST_NAME.fullmatch(text)):
        raise ValueError(
            "expected at most 253 letters, digits, '-', '_' or '.', as in server-1; or nothing"
        )
    return text


def parse_http_address(text: str) -> HttpAddress | None:
    """The address; None for an empty text."""
    if not text:
        return None
    host, colon, port = text.rpartition(":")
    if host.startswith("[") and host.endswith("]"):
        host = host[1:-1]
        valid = _is_ipv6_address(host)
    else:
        valid = not host or _is_host(host)
    if not (valid and colon and re.fullmatch(r"[0-9]{1,5}", port) and int(port) <= 65535):
        raise ValueError(
            "expected host:port or :port with a port from 0 to 65535, an IPv6 address in brackets,"
            " as in :9410, 127.0.0.1:9410 or [::1]:9410; or nothing to turn HTTP off"
        )
    return HttpAddress(host, int(port))


def _is_ipv6_address(text: str) -> bool:
    address, percent, zone = text.partition("%")
    return _is_address(socket.AF_INET6, address) and bool(_ZONE.fullmatch(percent + zone))


def _is_host(text: str) -> bool:
    if set(text) <= set("0123456789."):
        return _is_address(socket.AF_INET, text)
    return len(text) <= 253 and bool(_HOST_NAME.fullmatch(text))


def _is_address(family: socket.AddressFamily, text: str) -> bool:
    try:
        socket.inet_pton(family, text)
    except (OSError, ValueError):  # UnicodeEncodeError is a ValueError, and so is that of a NUL
        return False
    return True


def parse_interval(text: str) -> float:
    """The number of seconds."""
    if not _SECONDS.fullmatch(text) or not 1 <= float(text) <= 86400:
        raise ValueError("expected a number of seconds from 1 to 86400, as in 30 or 2.5")
    return float(text)


def parse_counted(text: str) -> tuple[Counted, ...]:
    """What is counted, in a fixed order; nothing for an empty text."""
    words = [word.strip().lower() for word in text.split(",")] if text else []
    # Kubelet binds memory to the node of the CPUs, so its count alone would align nothing.
    if not {*words} <= {*Counted} or (words and Counted.CPU not in words):
        raise ValueError("expected cpu, or cpu,memory, or nothing")
    return tuple(kind for kind in Counted if kind in words)


def parse_pinned_parts(text: str) -> tuple[PinnedPart, ...]:
    """What is pinned, in a fixed order; nothing for `off`."""
    words = [] if text.lower() == "off" else [word.strip().lower() for word in text.split(",")]
    # CPUs alone would leave memory where it happens to come from.
    if not {*words} <= {*PinnedPart} or (words and PinnedPart.MEMS not in words):
        raise ValueError("expected off, mems, or cpus,mems")
    return tuple(part for part in PinnedPart if part in words)


def parse_memory_unit(text: str) -> int:
    """The number of bytes, from a quantity of Kubernetes."""
    try:
        size = parse_quantity(text)
    except ValueError:
        size = Fraction()
    if not text.isascii() or size < SMALLEST_MEMORY_UNIT or size.denominator != 1:
        raise ValueError("expected a quantity of whole bytes, 1Mi or more, as in 1Gi or 512Mi")
    return int(size)


def parse_one_of(choices: type[E]) -> Callable[[str], E]:
    """A function that finds the choice by its value, in capitals or not."""

    def parse(text: str) -> E:
        # Letters beyond ASCII may have these as their lower case: that of the Kelvin sign is k.
        if not text.isascii() or text.lower() not in {*choices}:
            raise ValueError(f"expected one of {', '.join(choices)}")
        return choices(text.lower())

    return parse
