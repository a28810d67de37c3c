"""Which of a container's mounts a pod wants it to be near.

The runtime knows where of the host a mount comes from, but not what its volume is called. Kubelet's
paths have the volume's name where the pod itself holds the data, and else that of the persistent
volume. So a pod names the path in the container; or a volume, if only one can be meant.
"""

import posixpath
import re
from collections.abc import Sequence

from attrs import frozen

from numa_trio.plain_text import quoted
from numa_trio.runtime.messages import Mount

# Kubelet's folders of a pod: its volumes, by kind and name, and parts of them (subPath), by name.
_VOLUME = re.compile(r"/pods/[^/]+/volumes/(?P<kind>[^/]+)/(?P<name>[^/]+)(/|$)")
_PART = re.compile(r"/pods/[^/]+/volume-subpaths/(?P<name>[^/]+)/")
# Folders of the runtime for one container: volumes of its image, which end with it; and files of
# CRI-O's own, as /run/.containerenv and /run/secrets.
_IMAGE = re.compile(r"/(io\.containerd\.[^/]+/containers/[^/]+|overlay-containers/.+)/volumes/")
_OF_CRIO = re.compile(r"/overlay-containers/")
_OF_KUBELET = re.compile(r"/pods/[^/]+/(etc-hosts$|containers/)")

# What these volumes hold is kubelet's own text, or memory.
_NO_DATA = frozenset(
    f"kubernetes.io~{kind}" for kind in ("configmap", "secret", "projected", "downward-api")
)
_OF_POD = frozenset({"kubernetes.io~empty-dir", "image"})

# The runtime's own, wherever it keeps them.
_OF_RUNTIME = frozenset({"/etc/hostname", "/etc/hosts", "/etc/resolv.conf", "/dev/shm"})  # noqa: S108


class NoSuchVolume(Exception):
    """Nobody can tell which mount is meant; the message says what there is to choose from."""


@frozen
class _Volume:
    mount: Mount
    kind: str
    name: str


def chosen_mount(mounts: Sequence[Mount], wanted: str, annotation: str) -> Mount:
    """The mount that is `wanted`, as the pod's `annotation` has it: a path, a name, or empty.

    Raises `NoSuchVolume`.
    """
    volumes = [volume for mount in mounts if (volume := _volume(mount))]
    if wanted.startswith("/"):
        return _at(volumes, _normal(wanted), annotation)
    named = [volume for volume in volumes if wanted and volume.name == wanted]
    if not named:
        # The name of a persistent volume, or of a folder of the host, is not that in the pod.
        named = [volume for volume in volumes if volume.kind not in _OF_POD]
    if len(named) == 1:
        return named[0].mount
    says = f"{annotation} is {quoted(wanted)}" if wanted else f"there is no annotation {annotation}"
    raise NoSuchVolume(f"{says}; {_choices([each.mount for each in named or volumes], annotation)}")


def is_mount_point(mount: Mount) -> bool:
    """Whether kubelet has mounted the volume where it comes from, so that it is no mere folder."""
    source = posixpath.normpath(mount.source)
    if found := _VOLUME.search(source):
        return found["kind"] not in _OF_POD
    return bool(_PART.search(source))


def _at(volumes: Sequence[_Volume], path: str, annotation: str) -> Mount:
    """The mount at the path, or the one that it lies in."""
    around = [
        each.mount
        for each in volumes
        if f"{path}/".startswith(_normal(each.mount.destination).rstrip("/") + "/")
    ]
    if not around:
        choices = _choices([each.mount for each in volumes], annotation)
        raise NoSuchVolume(f"{annotation} is {quoted(path)}, where no volume is mounted; {choices}")
    return max(around, key=lambda mount: len(_normal(mount.destination)))


def _normal(path: str) -> str:
    """An absolute path without what does not matter: a pod may end one with a slash."""
    return posixpath.normpath("/" + path.lstrip("/"))


def _choices(mounts: Sequence[Mount], annotation: str) -> str:
    if not mounts:
        return "the container mounts no volume with data"
    paths = ", ".join(quoted(mount.destination) for mount in mounts[:5])
    return f"expected in {annotation} where one is mounted in the container: {paths}"


def _volume(mount: Mount) -> _Volume | None:
    """The volume that is mounted, if it is one that holds data."""
    source = posixpath.normpath(mount.source) if mount.source.startswith("/") else ""
    if not source or mount.type not in ("", "bind") or mount.destination in _OF_RUNTIME:
        return None
    if found := _VOLUME.search(source):
        kind = found["kind"]
        return None if kind in _NO_DATA else _Volume(mount, kind, found["name"])
    if found := _PART.search(source):
        return _Volume(mount, "", found["name"])
    if _IMAGE.search(source):
        return _Volume(mount, "image", "")
    own = _OF_KUBELET.search(source) or _OF_CRIO.search(source)
    return None if own else _Volume(mount, "", "")
