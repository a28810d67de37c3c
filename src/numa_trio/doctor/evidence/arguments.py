"""Kubelet's flags: of the process that runs, and from the files that its start reads them from."""

import shlex

from numa_trio.doctor.evidence.distribution import Distribution, Name
from numa_trio.doctor.evidence.host_files import HostFiles
from numa_trio.doctor.evidence.kubelet_flags import Flag, parse_flags, with_dashes
from numa_trio.doctor.evidence.processes import KubeletProcess, kubelet_arguments
from numa_trio.doctor.evidence.seen import Missing, Place
from numa_trio.doctor.evidence.yaml_lines import LEFT_OUT, Settings, only, parse_settings

_UNITS = "/etc/systemd/system"  # where the installer of k3s writes what it was given

_RANCHER_KEYS = ("kubelet-arg", "kubelet-arg+")

# Files of shell variables that kubeadm's unit reads, in order (10-kubeadm.conf).
_ENVIRONMENTS = (
    ("/var/lib/kubelet/kubeadm-flags.env", "KUBELET_KUBEADM_ARGS"),
    ("/etc/default/kubelet", "KUBELET_EXTRA_ARGS"),
    ("/etc/sysconfig/kubelet", "KUBELET_EXTRA_ARGS"),
)
_SNAP = {
    "$SNAP_DATA": "/var/snap/microk8s/current",
    "${SNAP_DATA}": "/var/snap/microk8s/current",
    "$SNAP_COMMON": "/var/snap/microk8s/common",
    "${SNAP_COMMON}": "/var/snap/microk8s/common",
}


def read_flags(
    files: HostFiles, distribution: Distribution, process: KubeletProcess | Missing
) -> tuple[tuple[Flag, ...], dict[str, str]]:
    """The flags that kubelet has, the later ones counting; and what could not be read, by path.

    A kubelet that runs on its own has the flags of its command line. Each of them is said to be in
    the file where it is written, if one has it.
    """
    problems: dict[str, str] = {}
    words = _written(files, distribution, problems)
    if not isinstance(process, Missing):
        if process.has_flags:
            written = {flag.word: flag.place for flag in parse_flags(words)}
            running = parse_flags(process.placed_words)
            return tuple(
                Flag(flag.known, flag.text, written.get(flag.word, flag.place)) for flag in running
            ), problems
        words = kubelet_arguments(process.placed_words) or words
    return tuple(parse_flags(words)), problems


def _written(
    files: HostFiles, distribution: Distribution, problems: dict[str, str]
) -> list[tuple[str, Place]]:
    match distribution.name:
        case Name.RKE2 | Name.K3S:
            return _rancher(files, distribution.name.lower(), problems)
        case Name.MICROK8S:
            return _lines(files, distribution.edit, problems)
    return [
        word
        for path, variable in _ENVIRONMENTS
        for word in _environment(files, path, variable, problems)
    ]


def _rancher(files: HostFiles, name: str, problems: dict[str, str]) -> list[tuple[str, Place]]:
    """`kubelet-arg` of config.yaml and config.yaml.d: a later file replaces it, `+` adds to it.

    That of the command line in the unit counts before them.
    """
    folder = f"/etc/rancher/{name}"
    units = (f"{name}-agent.service", f"{name}.service")
    drop_ins = [each for each in files.names(f"{folder}/config.yaml.d") if _is_yaml(each)]
    paths = [f"{folder}/config.yaml", *(f"{folder}/config.yaml.d/{each}" for each in drop_ins)]
    words: list[tuple[str, Place]] = []
    for path in paths:
        settings = _settings(files, path, problems)
        for key in _RANCHER_KEYS:
            if settings is None or key not in settings.values:
                continue
            found = _elements(settings, key, path)
            words = [*words, *found] if key.endswith("+") else found
    # A list on the command line replaces that of the files.
    return next(filter(None, (_unit(files, f"{_UNITS}/{each}") for each in units)), words)


def _unit(files: HostFiles, path: str) -> list[tuple[str, Place]]:
    """`--kubelet-arg` in the ExecStart of k3s's unit, which the process hides by a title."""
    content = files.read(path)
    if isinstance(content, Missing):
        return []
    words: list[tuple[str, Place]] = []
    starts: dict[int, str] = {}  # of the lines of the command
    going_on = False
    for number, line in enumerate(content.decode("utf-8", "replace").splitlines(), start=1):
        if going_on or line.startswith("ExecStart="):
            starts[number] = "" if going_on else "ExecStart="
            own = _split(line.removeprefix(starts[number]).rstrip("\\ \t"))
            words += [(word, Place(path, number)) for word in own]
            going_on = line.rstrip().endswith("\\")
    found = kubelet_arguments(words)
    by_line: dict[int | None, list[str]] = {}
    for flag in parse_flags(found):
        by_line.setdefault(flag.place.line, []).append(f"--kubelet-arg={flag.word}")
    kept = [
        f"{starts[number]}{shlex.join(by_line.get(number, []))} \\" if number in starts else ""
        for number in range(1, max(starts, default=0) + 1)
    ]
    files.keep(path, "".join(f"{line}\n" for line in kept).encode())
    return found


def _is_yaml(name: str) -> bool:
    return name.endswith((".yaml", ".yml"))


def _settings(files: HostFiles, path: str, problems: dict[str, str]) -> Settings | None:
    content = files.read(path)
    if isinstance(content, Missing):
        if not content.absent:
            problems[path] = content.reason
        return None
    settings = parse_settings(content)
    if isinstance(settings, Missing):
        problems[path] = files.failure(path, settings.reason).reason
        return None
    files.keep(path, only(settings, _kept))
    return settings


def _kept(key: str, value: object) -> object:
    """The arguments that matter; the file also holds tokens."""
    if key not in _RANCHER_KEYS:
        return LEFT_OUT
    if not isinstance(value, list):
        return value if _matters(value) else []
    return [each if _matters(each) else LEFT_OUT for each in value]


def _matters(argument: object) -> bool:
    place = Place("")
    return bool(list(parse_flags([(with_dashes(str(argument)), place)])))


def _elements(settings: Settings, key: str, path: str) -> list[tuple[str, Place]]:
    value = settings.values[key]
    arguments = value if isinstance(value, list) else [value]
    lines = settings.element_lines.get(key, ())
    found = []
    for number, argument in enumerate(arguments):
        line = lines[number] if number < len(lines) else settings.lines.get(key)
        if isinstance(argument, str):
            found.append((with_dashes(argument), Place(path, line)))
    return found


def _lines(files: HostFiles, path: str, problems: dict[str, str]) -> list[tuple[str, Place]]:
    """MicroK8s: arguments on lines, quotes removed, the snap's variables filled in."""
    text = _text(files, path, problems)
    words = []
    kept = []
    for number, line in enumerate(text.splitlines(), start=1):
        for name, value in _SNAP.items():
            line = line.replace(name, value)
        place = Place(path, number)
        found = [(word, place) for word in _split(line) if not word.startswith("#")]
        words += found
        kept.append(" ".join(flag.word for flag in parse_flags(found)))
    if text:
        files.keep(path, "".join(f"{line}\n" for line in kept).encode())
    return words


def _environment(
    files: HostFiles, path: str, variable: str, problems: dict[str, str]
) -> list[tuple[str, Place]]:
    text = _text(files, path, problems)
    words: list[tuple[str, Place]] = []
    kept = []
    for number, line in enumerate(text.splitlines(), start=1):
        name, _, value = line.strip().removeprefix("export ").partition("=")
        found = []
        if name == variable:
            place = Place(path, number)
            found = [(word, place) for outer in _split(value) for word in _split(outer)]
            words = found
        flags = " ".join(flag.word for flag in parse_flags(found))
        kept.append(f'{variable}="{flags}"' if name == variable else "")
    if text:
        files.keep(path, "".join(f"{line}\n" for line in kept).encode())
    return words


def _text(files: HostFiles, path: str, problems: dict[str, str]) -> str:
    content = files.read(path)
    if isinstance(content, Missing):
        if not content.absent:
            problems[path] = content.reason
        return ""
    return content.decode("utf-8", "replace")


def _split(text: str) -> list[str]:
    """The words as a shell would have them; as they stand where its quotes do not match."""
    try:
        return shlex.split(text)
    except ValueError:
        return text.split()
