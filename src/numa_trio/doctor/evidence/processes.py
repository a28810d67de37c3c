"""The process that is kubelet, or has kubelet in it.

RKE2 and k0s start a `kubelet`; k3s has it in its own process, MicroK8s in `kubelite`.
"""

from collections.abc import Iterable

from attrs import frozen

from numa_trio.doctor.evidence.host_files import HostFiles
from numa_trio.doctor.evidence.kubelet_flags import parse_flags, with_dashes
from numa_trio.doctor.evidence.seen import Missing, Place

_MOST_BYTES = 64 << 10

# In the order in which one is chosen, with the commands without which it runs no kubelet.
_PROGRAMS: dict[str, tuple[str, ...]] = {
    "kubelet": (),
    "kubelite": (),
    "k3s": ("agent", "server"),
    "k3s-agent": (),
    "k3s-server": (),
    "rke2": ("agent", "server"),
    "k0s": ("worker", "controller"),
}


@frozen
class KubeletProcess:
    """A running kubelet: the program's path, and the words after it."""

    pid: int
    program: str
    words: tuple[str, ...]

    @property
    def name(self) -> str:
        """The program's name."""
        return self.program.rpartition("/")[2]

    @property
    def place(self) -> Place:
        """Where its command line is."""
        return Place(f"/proc/{self.pid}/cmdline")

    @property
    def placed_words(self) -> list[tuple[str, Place]]:
        """The words, each with where it is."""
        return [(word, self.place) for word in self.words]

    @property
    def has_flags(self) -> bool:
        """Whether its words are kubelet's flags, all of them."""
        return self.name == "kubelet"


def find_kubelet(files: HostFiles) -> KubeletProcess | Missing:
    """The running kubelet, the oldest of several."""
    found: KubeletProcess | None = None
    seen = 0
    for pid in sorted(int(name) for name in files.names("/proc") if _is_number(name)):
        process = _process(files, pid)
        seen += 1
        if process is not None and (found is None or _rank(process) < _rank(found)):
            found = process
    if found is not None:
        files.keep(found.place.path, _kept(found))
        return found
    if seen:
        return Missing("no process named kubelet, kubelite, k3s, rke2 or k0s runs", absent=True)
    return Missing("the host's /proc is not shown here")


def _is_number(name: str) -> bool:
    return name.isascii() and name.isdigit() and len(name) <= 10


def _rank(process: KubeletProcess) -> int:
    return [*_PROGRAMS].index(process.name)


def _process(files: HostFiles, pid: int) -> KubeletProcess | None:
    content = files.read(f"/proc/{pid}/cmdline", _MOST_BYTES)
    if isinstance(content, Missing) or not content:
        return None
    words = content.decode("utf-8", "replace").rstrip("\0").split("\0")
    if len(words) == 1:  # a program that gave itself a title, as k3s does
        words = words[0].split()
    process = KubeletProcess(pid, words[0] if words else "", tuple(words[1:]))
    commands = _PROGRAMS.get(process.name)
    if commands is None or (commands and not set(commands) & set(process.words[:1])):
        return None
    return process


def _kept(process: KubeletProcess) -> bytes:
    """The command line with its command and the flags that matter: others may hold a token."""
    words = [process.program]
    if process.has_flags:
        flags = parse_flags(process.placed_words)
        words += [flag.word for flag in flags]
    else:
        words += [word for word in process.words[:1] if not word.startswith("-")]
        words += [
            f"--kubelet-arg={flag.word.removeprefix('--')}"
            for flag in parse_flags(kubelet_arguments(process.placed_words))
        ]
    return "\0".join([*words, ""]).encode("utf-8", "backslashreplace")


def kubelet_arguments(words: Iterable[tuple[str, Place]]) -> list[tuple[str, Place]]:
    """The words for kubelet on a command line of k3s or RKE2: `--kubelet-arg=…`."""
    found = []
    rest = iter(words)
    for word, place in rest:
        name, equals, text = word.partition("=")
        if name in ("--kubelet-arg", "-kubelet-arg"):
            argument = text if equals else next(rest, ("", place))[0]
            found.append((with_dashes(argument), place))
    return found
