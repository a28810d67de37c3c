"""Which container runtime the host has, and whether its NRI is on.

containerd 2 has NRI on, 1.7 off. Its file has `version = 3` from 2.0 on, which reads version 2 too;
1.7 takes no notice of the section in a file without a version. CRI-O has it on from 1.30 on.
"""

import re
import tomllib
from collections.abc import Iterator, Mapping
from fnmatch import fnmatch

from attrs import frozen

from numa_trio.doctor.evidence.distribution import Distribution, Name
from numa_trio.doctor.evidence.host_files import HostFiles
from numa_trio.doctor.evidence.seen import Missing, Place

NRI_SOCKET = "/run/nri/nri.sock"
_PLUGIN = "io.containerd.nri.v1.nri"
_MOST_IMPORTS = 100

_CONTAINERD = {
    Name.RKE2: "/var/lib/rancher/rke2/agent/etc/containerd/config.toml",
    Name.K3S: "/var/lib/rancher/k3s/agent/etc/containerd/config.toml",
    Name.K0S: "/etc/k0s/containerd.toml",
    Name.MICROK8S: "/var/snap/microk8s/current/args/containerd.toml",
}
_PLAIN_CONTAINERD = "/etc/containerd/config.toml"
_CRIO = "/etc/crio/crio.conf"
_CRIO_FOLDER = "/etc/crio/crio.conf.d"


@frozen
class Runtime:
    """A runtime by its configuration.

    `nri` is what the file sets; None where it sets nothing, so that the release decides. `version`
    is that of containerd's file. `socket`: NRI's socket is there.
    """

    name: str
    path: str
    nri: bool | None = None
    place: Place | None = None
    version: int = 0
    socket: bool = False


def read_runtime(files: HostFiles, distribution: Distribution) -> Runtime | Missing:
    """The runtime whose configuration is on the host: CRI-O on OpenShift, else containerd first."""
    socket = files.exists(NRI_SOCKET)
    crio = _crio(files, socket)
    if distribution.name is Name.OPENSHIFT and crio is not None:
        return crio
    found = _containerd(files, _CONTAINERD.get(distribution.name, _PLAIN_CONTAINERD), socket)
    if isinstance(found, Missing) and found.absent and crio is not None:
        return crio
    if isinstance(found, Missing) and found.absent and socket:
        return Runtime("unknown", NRI_SOCKET, socket=True)
    return found


def _containerd(files: HostFiles, path: str, socket: bool) -> Runtime | Missing:
    document = _toml(files, path)
    if isinstance(document, Missing):
        return document
    value, text = document
    version = value.get("version", 1)
    runtime = Runtime("containerd", path, version=version if isinstance(version, int) else 0)
    nri, line = _disabled(value, text)
    place = Place(path, line) if nri is not None else None
    imported = list(_imports(files, value.get("imports"), path))
    files.keep(path, _kept_containerd(value, text))
    for each in imported:
        inner = _toml(files, each)
        if isinstance(inner, Missing):
            continue
        own, line = _disabled(*inner)
        files.keep(each, _kept_containerd(*inner))
        if own is not None:
            nri, place = own, Place(each, line)
    enabled = None if nri is None else not nri
    return Runtime("containerd", path, enabled, place, runtime.version, socket)


def _imports(files: HostFiles, patterns: object, path: str) -> Iterator[str]:
    found: list[str] = []
    for pattern in patterns if isinstance(patterns, list) else []:
        if not isinstance(pattern, str):
            continue
        here = path.rpartition("/")[0]
        folder, _, name = (pattern if pattern.startswith("/") else f"{here}/{pattern}").rpartition(
            "/"
        )
        found += [f"{folder}/{each}" for each in files.names(folder) if fnmatch(each, name)]
    yield from found[:_MOST_IMPORTS]


def _disabled(value: Mapping[str, object], text: str) -> tuple[bool | None, int | None]:
    """What the section of NRI says of `disable`, and in which line."""
    section = _inner(_inner(value, "plugins"), _PLUGIN)
    disable = section.get("disable")
    if not isinstance(disable, bool):
        return None, None
    return disable, _line(text, rf"\[[^\]\n]*{re.escape(_PLUGIN)}[^\n]*\]", "disable")


def _line(text: str, header: str, key: str) -> int | None:
    """The line of a key in the section with such a header; None where it is written otherwise."""
    inside = False
    for number, line in enumerate(text.splitlines(), start=1):
        if line.lstrip().startswith("["):
            inside = re.match(rf"\s*{header}", line) is not None
        elif inside and re.match(rf"\s*{key}\s*=", line):
            return number
    return None


def _kept_containerd(value: Mapping[str, object], text: str) -> bytes:
    """The version, the imports and NRI's section, `disable` at its line."""
    version, imports = value.get("version"), value.get("imports")
    head = [f"version = {version}"] if isinstance(version, int) else []
    if isinstance(imports, list):
        head.append(f"imports = [{', '.join(_quoted(each) for each in imports)}]")
    disable, line = _disabled(value, text)
    section = f'[plugins."{_PLUGIN}"]'
    return _with_key(head, section, "disable", disable, line)


def _with_key(
    head: list[str], section: str, key: str, value: bool | None, line: int | None
) -> bytes:
    if value is None:
        return "".join(f"{each}\n" for each in head).encode()
    # In the file itself all that is kept has lines of its own before the key.
    before = [*head, section]
    lines = [*before, *[""] * ((line or 0) - 1 - len(before)), f"{key} = {str(value).lower()}"]
    return "".join(f"{each}\n" for each in lines).encode()


def _quoted(value: object) -> str:
    text = str(value)
    return f'"{text}"' if text.isprintable() and not set(text) & {'"', "\\"} else '""'


def _crio(files: HostFiles, socket: bool) -> Runtime | None:
    names = [name for name in files.names(_CRIO_FOLDER) if not name.startswith(".")]
    found: Runtime | None = None
    for path in (_CRIO, *(f"{_CRIO_FOLDER}/{name}" for name in names)):
        document = _toml(files, path)
        if isinstance(document, Missing):
            continue
        value, text = document
        enabled = _inner(_inner(value, "crio"), "nri").get("enable_nri")
        line = _line(text, r"\[\s*crio\.nri\s*\]", "enable_nri")
        nri = enabled if isinstance(enabled, bool) else None
        files.keep(path, _with_key([], "[crio.nri]", "enable_nri", nri, line))
        if nri is not None:
            found = Runtime("CRI-O", path, nri, Place(path, line), socket=socket)
        elif found is None:
            found = Runtime("CRI-O", path, socket=socket)
    return found


def _toml(files: HostFiles, path: str) -> tuple[Mapping[str, object], str] | Missing:
    content = files.read(path)
    if isinstance(content, Missing):
        return content
    try:
        text = content.decode()
        return tomllib.loads(text), text
    except tomllib.TOMLDecodeError as problem:
        return files.failure(path, f"is not TOML: {problem}")
    except (ValueError, RecursionError):
        return files.failure(path, "is not TOML: line 1, column 1: not UTF-8, or too deep")


def _inner(value: Mapping[str, object], key: str) -> Mapping[str, object]:
    inner = value.get(key)
    return inner if isinstance(inner, dict) else {}
