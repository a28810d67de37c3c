"""The host beside kubelet: cgroups, SELinux, inotify, the container runtime."""

from attrs import evolve

from numa_trio.doctor.evidence.container_runtime import NRI_SOCKET
from numa_trio.doctor.evidence.distribution import Name
from numa_trio.doctor.evidence.gather import Evidence
from numa_trio.doctor.evidence.kernel import ENFORCE, INOTIFY
from numa_trio.doctor.evidence.seen import Missing, Place
from numa_trio.doctor.evidence.setting_forms import FAILS_ON_CGROUP_1
from numa_trio.doctor.finding import Check, Remedy, Severity, Verdict, fine, note, unknown, warning

# The kernel's default; kubelet, runtime and pods of uid 0 share it.
_LEAST_INSTANCES = 128
_LEAST_WATCHES = 8192
_CONTAINERD_2 = 3  # the version of configuration files that only containerd 2 reads

_NRI_FILES = {
    Name.RKE2: "/var/lib/rancher/rke2/agent/etc/containerd/config.toml.tmpl",
    Name.K3S: "/var/lib/rancher/k3s/agent/etc/containerd/config.toml.tmpl",
    Name.K0S: "/etc/k0s/containerd.d/nri.toml",
    Name.MICROK8S: "/var/snap/microk8s/current/args/containerd-template.toml",
}
_NRI_LINES = ('[plugins."io.containerd.nri.v1.nri"]', "  disable = false")


def _cgroups(evidence: Evidence) -> Verdict:
    version = evidence.kernel.cgroup_version
    if isinstance(version, Missing):
        return unknown(version.reason)
    if version > 1:
        return fine("cgroup version 2")
    fails = evidence.config.settings.get(FAILS_ON_CGROUP_1)
    if fails is not None and fails.value in (False, "false"):
        return note(f"cgroup version 1, with {FAILS_ON_CGROUP_1}: false", fails.place)
    remedy = Remedy(
        "the kernel's command line (GRUB_CMDLINE_LINUX), and reboot",
        ("systemd.unified_cgroup_hierarchy=1",),
    )
    return warning("cgroup version 1", Place("/sys/fs/cgroup"), remedy)


def _selinux(evidence: Evidence) -> Verdict:
    enforcing = evidence.kernel.selinux
    if isinstance(enforcing, Missing):
        return fine("no SELinux") if enforcing.absent else unknown(enforcing.reason)
    if not enforcing:
        return fine("SELinux does not enforce", Place(ENFORCE))
    if evidence.distribution.name is Name.OPENSHIFT:
        return fine("SELinux enforces; the overlay openshift sets the agent's type", Place(ENFORCE))
    lines = ("components:", "  - …/deploy/kustomize/components/selinux")
    remedy = Remedy("your kustomization", lines, "Unless it has it already.")
    return note("SELinux enforces", Place(ENFORCE), remedy)


def _inotify(evidence: Evidence) -> Verdict:
    limits = (
        ("max_user_instances", evidence.kernel.inotify_instances, _LEAST_INSTANCES),
        ("max_user_watches", evidence.kernel.inotify_watches, _LEAST_WATCHES),
    )
    low = []
    seen = []
    for name, value, least in limits:
        if isinstance(value, Missing):
            return unknown(f"{INOTIFY}/{name} {value.reason}")
        seen.append(f"{name} {value}")
        if value < least:
            low.append((name, least))
    told = f"fs.inotify: {', '.join(seen)}"
    if not low:
        return fine(told, Place(INOTIFY))
    lines = tuple(f"fs.inotify.{name} = {least}" for name, least in low)
    remedy = Remedy("/etc/sysctl.d/90-inotify.conf", lines, "Then `sysctl --system`.")
    return warning(f"{told}; expected at least the kernel's defaults", Place(INOTIFY), remedy)


def _runtime(evidence: Evidence) -> Verdict:
    found = _nri(evidence)
    # Without NRI nothing is pinned where the runtime is to do it.
    needed = evidence.by_runtime and found.severity is Severity.NOTE
    return evolve(found, severity=Severity.WARNING) if needed else found


def _nri(evidence: Evidence) -> Verdict:
    runtime = evidence.runtime
    if isinstance(runtime, Missing):
        return unknown(f"no configuration of a runtime was found: {runtime.reason}")
    place = runtime.place or Place(runtime.path)
    if runtime.socket:
        return fine(f"NRI is on: {NRI_SOCKET} is there", Place(NRI_SOCKET))
    if runtime.name == "CRI-O":
        lines = ("[crio.nri]", "enable_nri = true")
        remedy = Remedy(
            "/etc/crio/crio.conf.d/99-nri.conf", lines, "Then `systemctl restart crio`."
        )
        if runtime.nri is False:
            return note("CRI-O: NRI is off", place, remedy)
        on = "on" if runtime.nri else "as the release has it: on from CRI-O 1.30 on"
        return fine(f"CRI-O: NRI is {on}", place)
    remedy = Remedy(
        _NRI_FILES.get(evidence.distribution.name, runtime.path),
        _NRI_LINES,
        "Then restart containerd.",
    )
    told = f"containerd, {runtime.path} of version {runtime.version}"
    if runtime.nri is False:
        return note(f"{told}: NRI is off", place, remedy)
    if runtime.nri and runtime.version < 2:
        version = Remedy(runtime.path, ("version = 2",), "Then restart containerd.")
        return note(f"{told}: containerd 1.7 takes no notice of NRI's section", place, version)
    if runtime.nri or runtime.version >= _CONTAINERD_2:
        return fine(f"{told}: NRI is on", place)
    return note(f"{told} does not set NRI: containerd 2 has it on, 1.7 off", place, remedy)


CHECKS = (
    Check(
        "ND023",
        "cgroup version",
        "Kubelet 1.35 and later does not start on version 1 unless failCgroupV1 is false.",
        _cgroups,
    ),
    Check(
        "ND024",
        "SELinux",
        "Where it enforces, the agent reaches kubelet's socket only with a type that may.",
        _selinux,
    ),
    Check(
        "ND025",
        "inotify limits",
        "Without inotify the agent sees a restart of kubelet up to a second later, when pods may be"
        " refused already.",
        _inotify,
    ),
    Check(
        "ND026",
        "Container runtime and NRI",
        "Pinning by the container runtime needs NRI; pinning by kubelet does not.",
        _runtime,
    ),
)
