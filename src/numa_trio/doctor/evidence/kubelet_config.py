"""Kubelet's configuration as it counts: its file, drop-ins over it, and flags over both.

Source: cmd/kubelet/app/server.go of Kubernetes 1.28 to 1.36. Drop-ins are merged as JSON merge
patches (RFC 7396): maps key by key, lists as a whole; null removes. A flag replaces a setting.
"""

from collections.abc import Iterable, Mapping

from attrs import evolve, field, frozen

from numa_trio.doctor.evidence.arguments import read_flags
from numa_trio.doctor.evidence.distribution import Distribution, Name
from numa_trio.doctor.evidence.host_files import ABSENT, HostFiles
from numa_trio.doctor.evidence.kubelet_flags import Flag, value_of
from numa_trio.doctor.evidence.processes import KubeletProcess
from numa_trio.doctor.evidence.seen import Missing, Place
from numa_trio.doctor.evidence.setting_forms import KEPT_KEYS, MERGES_EVICTION, SETTINGS, Form
from numa_trio.doctor.evidence.yaml_lines import LEFT_OUT, only, parse_settings

_MOST_DROP_INS = 1000
_DEEPEST = 8  # folders of drop-ins in one another

# In kubelet where it has a file that does not set evictionHard; without a file there is none.
_DEFAULT_MEMORY_THRESHOLD = "100Mi"
EVICTION = "evictionHard"
MEMORY_SIGNAL = "memory.available"

# RKE2 and k3s give kubelet this flag if it has no drop-ins (before 1.32), or such a drop-in.
_RANCHER_EVICTION = {"imagefs.available": "5%", "nodefs.available": "5%"}


@frozen
class Setting:
    """A value in the form of kubelet's file, and where it is given; nowhere if it is the default.

    Of a map that several places give, the place is that of the last. `flag`: a flag gives it, so
    that a file cannot change it.
    """

    value: object
    place: Place | None = None
    flag: bool = False


@frozen
class KubeletConfig:
    """What is set; what was read, in order; what could not be read, by path.

    `root` is kubelet's root directory, `file` its configuration file; empty if it has none.
    """

    settings: Mapping[str, Setting] = field(factory=dict)
    sources: tuple[str, ...] = ()
    problems: Mapping[str, str] = field(factory=dict)
    root: str = "/var/lib/kubelet"
    file: str = ""

    @property
    def complete(self) -> bool:
        """Whether all of it was read, so that what is not set has kubelet's default."""
        return bool(self.sources) and not self.problems

    def text(self, key: str, default: str) -> Setting:
        """The setting that is one word."""
        found = self.settings.get(key)
        if found is None or found.value in (None, ""):
            return Setting(default)
        return evolve(found, value=str(found.value))

    def map(self, key: str) -> Mapping[str, object]:
        """The setting that is a map; empty where it is not set, or is none."""
        found = self.settings.get(key)
        return found.value if found is not None and isinstance(found.value, dict) else {}

    def place(self, *keys: str) -> Place | None:
        """Where the first of these settings is that is set."""
        places = (self.settings[key].place for key in keys if key in self.settings)
        return next((place for place in places if place is not None), None)


def read_config(
    files: HostFiles, distribution: Distribution, process: KubeletProcess | Missing
) -> KubeletConfig:
    """The configuration that kubelet has, or will have when it starts."""
    flags, problems = read_flags(files, distribution, process)
    alone = not isinstance(process, Missing) and process.has_flags
    path = _last(flags, "config") or ("" if alone else _first(files, distribution.files))
    folder = _last(flags, "config-dir") or ("" if alone else distribution.drop_ins or "")
    rancher = distribution.name in {Name.RKE2, Name.K3S}
    drop_ins = _drop_ins(files, folder) if folder else []
    # The folder that a distribution would have may be missing; kubelet does not start without one
    # that it is given.
    if folder in files.failed:
        problems[folder] = files.failed[folder]
    elif _last(flags, "config-dir") and not files.exists(folder):
        problems[folder] = ABSENT.reason
    settings: dict[str, Setting] = {}
    read: list[str] = []
    # RKE2 and k3s copy the file into the folder of drop-ins.
    for each in [path, *drop_ins] if path else drop_ins:
        found = _read_file(files, each, problems)
        if found is not None:
            read.append(each)
            settings = _merged(settings, found)
        if each == path and not rancher:
            settings.setdefault(EVICTION, Setting({MEMORY_SIGNAL: _DEFAULT_MEMORY_THRESHOLD}))
    if rancher and not drop_ins and not alone:
        settings.setdefault(EVICTION, Setting(_RANCHER_EVICTION))
    settings |= _of_flags(flags, problems)
    if (merges := settings.get(MERGES_EVICTION)) is not None and merges.value is True:
        settings[EVICTION] = _with_default_threshold(settings.get(EVICTION))
    read += dict.fromkeys(flag.place.path for flag in flags)
    if not isinstance(process, Missing) and alone and process.place.path not in read:
        read.append(process.place.path)
    root = _last(flags, "root-dir") or distribution.root
    return KubeletConfig(settings, tuple(read), problems, root.rstrip("/") or "/", path)


def _last(flags: Iterable[Flag], name: str) -> str:
    return next((f.text for f in reversed([*flags]) if f.known.flag == name), "")


def _first(files: HostFiles, paths: Iterable[str]) -> str:
    return next((path for path in paths if files.exists(path)), "")


def _drop_ins(files: HostFiles, folder: str, depth: int = 0) -> list[str]:
    """The files that end in `.conf`, in the order of their paths, those of inner folders too."""
    found: list[str] = []
    for name in files.names(folder):
        path = f"{folder.rstrip('/')}/{name}"
        if depth < _DEEPEST and (inner := _drop_ins(files, path, depth + 1)):
            found += inner
        elif name.endswith(".conf"):
            found.append(path)
    return found[:_MOST_DROP_INS]


def _read_file(files: HostFiles, path: str, problems: dict[str, str]) -> dict[str, Setting] | None:
    content = files.read(path)
    settings = content if isinstance(content, Missing) else parse_settings(content)
    if isinstance(settings, Missing):
        problems[path] = files.failure(path, settings.reason).reason
        return None
    files.keep(path, only(settings, lambda key, value: value if key in KEPT_KEYS else LEFT_OUT))
    kind = settings.values.get("kind")
    if kind != "KubeletConfiguration":
        problems[path] = f"found kind {kind!r}; expected kind: KubeletConfiguration"
        return None
    return {
        key: Setting(value, Place(path, settings.lines.get(key)))
        for key, value in settings.values.items()
        if key in KEPT_KEYS
    }


def _merged(base: Mapping[str, Setting], patch: Mapping[str, Setting]) -> dict[str, Setting]:
    merged = dict(base)
    for key, setting in patch.items():
        before = merged.get(key)
        if setting.value is None:
            merged.pop(key, None)
        elif isinstance(setting.value, dict):
            inner = before.value if before is not None and isinstance(before.value, dict) else {}
            together = {k: v for k, v in {**inner, **setting.value}.items() if v is not None}
            merged[key] = evolve(setting, value=together)
        else:
            merged[key] = setting
    return merged


def _of_flags(flags: Iterable[Flag], problems: dict[str, str]) -> dict[str, Setting]:
    found = {}
    for known in SETTINGS:
        given = [flag for flag in flags if flag.known is known]
        if not given or known.form is Form.FLAG_ONLY:
            continue
        try:
            found[known.key] = Setting(value_of(given), given[-1].place, flag=True)
        except ValueError as problem:
            problems[str(given[-1].place)] = f"--{known.flag}: {problem}"
    return found


def _with_default_threshold(setting: Setting | None) -> Setting:
    """MergeDefaultEvictionSettings: signals that are not set have their defaults."""
    default = {MEMORY_SIGNAL: _DEFAULT_MEMORY_THRESHOLD}
    if setting is None or not isinstance(setting.value, dict):
        return Setting(default)
    return evolve(setting, value=default | setting.value)
