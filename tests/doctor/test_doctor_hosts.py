"""Hosts of each distribution: a right one has no findings, and each wrong one has its own."""

import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from attrs import evolve, frozen

from doctor_hosts import (
    HOSTS,
    KUBELET_YAML,
    RESERVED,
    TOTAL,
    Host,
    command_line,
    cpu_state,
    memory_state,
)
from numa_trio.doctor.evidence.gather import gather
from numa_trio.doctor.evidence.observations import GivenAway
from numa_trio.doctor.evidence.readyz import Answer
from numa_trio.doctor.evidence.seen import Missing
from numa_trio.doctor.evidence.setting_forms import KEPT_KEYS
from numa_trio.doctor.examine import CHECKS, examine
from numa_trio.doctor.finding import Severity

KUBEADM_FILE = "/var/lib/kubelet/config.yaml"
CPU_STATE = "/var/lib/kubelet/cpu_manager_state"
MEMORY_STATE = "/var/lib/kubelet/memory_manager_state"
CPU = "/sys/devices/system/cpu"
GONE = Missing("gone", absent=True)


@pytest.mark.parametrize("distribution", HOSTS)
def test_a_right_host_has_nothing_to_change(distribution: str, tmp_path: Path) -> None:
    """Every check of a host as docs/distributions has it is ok, and says of which distribution."""
    host = Host.of(tmp_path, distribution)
    verdicts = {each.check.code: each.verdict for each in host.findings()}
    assert {code: v for code, v in verdicts.items() if v.severity is not Severity.OK} == {}
    assert verdicts["ND001"].seen.startswith(distribution)


@frozen
class Wrong:
    """What is done to a right kubeadm host, and what must be found."""

    code: str
    do: Callable[[Host], Host | None]
    severity: Severity
    seen: str
    change: str | None = None


def edit(path: str, old: str, new: str) -> Callable[[Host], None]:
    return lambda host: host.change(path, old, new)


def config(old: str, new: str) -> Callable[[Host], None]:
    return edit(KUBEADM_FILE, old, new)


def text(path: str, content: str | bytes) -> Callable[[Host], None]:
    return lambda host: host.write(path, content)


def without(path: str) -> Callable[[Host], None]:
    return lambda host: host.remove(path)


def observed(**seen: object) -> Callable[[Host], Host]:
    return lambda host: host.seen(**seen)


def nodes(count: int, without_cpus: int = 0) -> Callable[[Host], None]:
    def do(host: Host) -> None:
        folder = "/sys/devices/system/node"
        host.write(f"{folder}/online", f"0-{count - 1}")
        for node in range(count):
            host.write(f"{folder}/node{node}/cpulist", "" if node < without_cpus else str(node))
            host.write(f"{folder}/node{node}/distance", " ".join(["10"] * count))
            host.write(f"{folder}/node{node}/meminfo", f"Node {node} MemTotal: 1024 kB")

    return do


def many_without_policy(host: Host) -> None:
    nodes(9)(host)
    host.change(KUBEADM_FILE, "single-numa-node", "none")


def a_high_number(host: Host) -> None:
    folder = "/sys/devices/system/node"
    host.write(f"{folder}/online", "0,64")
    host.write(f"{folder}/node64/cpulist", "4-7")


def nothing_reserved(host: Host) -> None:
    text = KUBELET_YAML[: KUBELET_YAML.index("  memory: 924Mi")]
    host.write(KUBEADM_FILE, f"{text}evictionHard: {{nodefs.available: 5%}}\n")


def isolated_and_reserved(host: Host) -> None:
    host.write(f"{CPU}/isolated", "4-5\n")
    host.change(KUBEADM_FILE, "kind", 'reservedSystemCPUs: "0,4-5"\nkind')


def crio(line: str) -> Callable[[Host], None]:
    def do(host: Host) -> None:
        host.remove("/etc/containerd/config.toml")
        host.write("/etc/crio/crio.conf", "[crio.api]\nstream_port = '0'\n")
        host.write("/etc/crio/crio.conf.d/10-nri.conf", f"[crio.nri]\n{line}\n")

    return do


ERROR, WARNING, NOTE, UNKNOWN, OK = (
    Severity.ERROR,
    Severity.WARNING,
    Severity.NOTE,
    Severity.UNKNOWN,
    Severity.OK,
)
NO_POLICY = config("topologyManagerPolicy: single-numa-node\n", "")
WRONG = [
    Wrong("ND001", text(KUBEADM_FILE, "a: [b\nc: d\n"), ERROR, "line 2, column 2"),
    Wrong("ND001", text(KUBEADM_FILE, "- a\n"), ERROR, "line 1, column 1: expected a mapping"),
    Wrong("ND001", text(KUBEADM_FILE, b"\xff\xfe"), ERROR, "is not text"),
    Wrong("ND001", config("KubeletConfiguration", "Config"), ERROR, "found kind 'Config'"),
    Wrong("ND001", without(KUBEADM_FILE), UNKNOWN, "there is no such file"),
    Wrong("ND002", without(KUBEADM_FILE), UNKNOWN, "not read to its end"),
    Wrong(
        "ND002", NO_POLICY, ERROR, "none (the default)", "topologyManagerPolicy: single-numa-node"
    ),
    Wrong("ND002", config("single-numa-node", "best-effort"), ERROR, "best-effort"),
    Wrong("ND002", config("single-numa-node", "single_numa"), ERROR, "expected one of none, best"),
    Wrong("ND002", config("single-numa-node", "restricted"), OK, "restricted"),
    Wrong("ND003", config("kind", "topologyManagerScope: pod\nkind"), NOTE, "are refused"),
    Wrong("ND003", config("kind", "topologyManagerScope: pods\nkind"), ERROR, "container or pod"),
    Wrong("ND004", nodes(9), ERROR, "NUMA nodes: 9", '  max-allowable-numa-nodes: "9"'),
    Wrong("ND004", many_without_policy, WARNING, "with a policy that aligns, kubelet would not"),
    Wrong("ND004", a_high_number, ERROR, "NUMA node 64: kubelet knows the numbers 0 to 63"),
    Wrong(
        "ND004",
        config("kind", 'topologyManagerPolicyOptions: {max-allowable-numa-nodes: "7"}\nkind'),
        ERROR,
        "no less than 8",
    ),
    Wrong(
        "ND004",
        config("kind", "topologyManagerPolicyOptions: {max-allowable-numa-nodes: 9}\nkind"),
        ERROR,
        "whole number in quotes",
    ),
    Wrong("ND005", nodes(4, 2), NOTE, "NUMA node 0-1 of 4 nodes has no CPUs"),
    Wrong("ND005", nodes(17, 16), ERROR, "for ever"),
    Wrong(
        "ND006", config("Policy: static", "Policy: none"), ERROR, "none", "cpuManagerPolicy: static"
    ),
    Wrong("ND006", config("Policy: static", "Policy: Static"), ERROR, "expected none or static"),
    Wrong("ND007", config('  cpu: "1"\n', ""), ERROR, "does not start", '  cpu: "1"'),
    Wrong("ND007", config('  cpu: "1"\n', "  cpu: 1\n"), ERROR, "expected text in quotes"),
    Wrong(
        "ND007",
        config("kind", 'reservedSystemCPUs: "0,9"\nkind'),
        ERROR,
        "CPU 9 is not online",
        'reservedSystemCPUs: "0"',
    ),
    Wrong("ND007", config("kind", "reservedSystemCPUs: 0-\nkind"), ERROR, "held '0-', expected"),
    Wrong("ND007", config("kind", 'reservedSystemCPUs: "0,4"\nkind'), OK, "0,4"),
    Wrong("ND008", text(CPU_STATE, cpu_state("none", "")), ERROR, "policy none, but static"),
    Wrong("ND008", text(CPU_STATE, '{"policyName":\n "static" x}'), ERROR, "line 2, column 11"),
    Wrong("ND008", text(CPU_STATE, b""), ERROR, "line 1, column 1"),
    Wrong("ND008", without(CPU_STATE), NOTE, "there is none"),
    Wrong(
        "ND009", text(CPU_STATE, cpu_state(shared="0-6", app="8")), ERROR, "CPU 8 is gone and CPU 7"
    ),
    Wrong(
        "ND009",
        config("kind", 'reservedSystemCPUs: "2"\nkind'),
        ERROR,
        "a container has CPU 2, which is now reserved",
    ),
    Wrong(
        "ND010",
        observed(allocatable=GivenAway(frozenset(), frozenset())),
        WARNING,
        "its CPU Manager does not run",
    ),
    Wrong("ND010", observed(allocatable=GONE), UNKNOWN, "gone"),
    Wrong("ND011", config("Policy: Static", "Policy: static"), ERROR, "capital letter"),
    Wrong("ND011", config("Policy: Static", "Policy: None"), NOTE, "by habit"),
    Wrong("ND012", config("924Mi", "923Mi"), ERROR, "1048576 bytes more than", "reservedMemory:"),
    Wrong(
        "ND012",
        config("924Mi", '"968884225"'),
        ERROR,
        "1 bytes less than",
        "      memory: 536870913",
    ),
    Wrong("ND012", config("numaNode: 1", "numaNode: -1"), ERROR, "found numaNode -1"),
    Wrong("ND012", config("numaNode: 1", "numaNode: 2"), ERROR, "NUMA node 2 does not exist"),
    Wrong("ND012", config("memory: 924Mi", "memory: 924MB"), ERROR, "'924MB' is not a quantity"),
    Wrong("ND012", nothing_reserved, ERROR, "no memory is reserved", "  - numaNode: 1"),
    Wrong("ND012", nothing_reserved, ERROR, "no memory is reserved", '  memory: "1Gi"'),
    Wrong(
        "ND012",
        config("  memory: 924Mi", "  memory: 924Mi\n  hugepages-2Mi: 4Mi"),
        ERROR,
        "reservedMemory of hugepages-2Mi is 0 (0 bytes), 4194304 bytes less",
        "      hugepages-2Mi: 2Mi",
    ),
    Wrong("ND012", config("kind", "kind"), OK, "evictionHard 100Mi"),
    Wrong(
        "ND012",
        config("kind", "evictionHard: {memory.available: 10%}\nkind"),
        ERROR,
        "evictionHard 836096012",
    ),
    Wrong("ND013", text(MEMORY_STATE, memory_state("None")), ERROR, "policy None, but Static"),
    Wrong("ND013", text(MEMORY_STATE, "[]"), ERROR, "no object"),
    Wrong(
        "ND014",
        text(MEMORY_STATE, memory_state(total=TOTAL - 4096)),
        ERROR,
        "NUMA node 0, memory: recorded 4294963200 bytes, now 4294967296 bytes (+4096)",
        f"rm {MEMORY_STATE}",
    ),
    Wrong("ND014", text(MEMORY_STATE, memory_state(huge=0)), ERROR, "hugepages-2Mi: recorded 0"),
    Wrong(
        "ND014",
        text(MEMORY_STATE, memory_state(reserved=RESERVED - 1)),
        ERROR,
        "recorded 536870911 bytes reserved, configured 536870912",
    ),
    Wrong("ND015", nodes(1), NOTE, "one NUMA node"),
    Wrong(
        "ND016",
        text(f"{CPU}/cpu4/topology/physical_package_id", "0"),
        NOTE,
        "socket 0: nodes 0-1",
    ),
    Wrong("ND017", text(f"{CPU}/present", "0-9\n"), NOTE, "CPU 8-9 is offline"),
    Wrong("ND018", text(f"{CPU}/isolated", "2-3\n"), WARNING, "CPU 2-3 is isolated"),
    Wrong("ND018", isolated_and_reserved, NOTE, "kept from pods by reservedSystemCPUs"),
    Wrong(
        "ND019",
        text("/proc/sys/kernel/numa_balancing", "1\n"),
        NOTE,
        "= 1",
        "kernel.numa_balancing = 0",
    ),
    Wrong("ND020", observed(kubelet=False), ERROR, "nobody listens", "systemctl start kubelet"),
    Wrong("ND020", observed(kubelet=GONE), ERROR, "though kubelet runs"),
    Wrong("ND021", observed(mode=0o777), WARNING, "mode 0777", "chmod 0750"),
    Wrong("ND022", observed(agent=Answer(503, "not ready: x\nmore")), ERROR, "not ready: x"),
    Wrong("ND022", observed(agent=GONE, sockets=()), UNKNOWN, "no socket of an agent"),
    Wrong("ND022", observed(agent=GONE), NOTE, "2 sockets of an agent"),
    Wrong(
        "ND023",
        lambda h: (
            h.remove("/sys/fs/cgroup/cgroup.controllers"),
            h.write("/sys/fs/cgroup/cpuset", ""),
        )[1],
        WARNING,
        "version 1",
    ),
    Wrong("ND024", text("/sys/fs/selinux/enforce", "1"), NOTE, "enforces", "components:"),
    Wrong("ND024", text("/etc/selinux/config", "SELINUX=permissive\n"), OK, "does not enforce"),
    Wrong(
        "ND025",
        text("/proc/sys/fs/inotify/max_user_instances", "64\n"),
        WARNING,
        "64",
        "fs.inotify.max_user_instances = 128",
    ),
    Wrong(
        "ND026",
        edit("/etc/containerd/config.toml", "disable = false", "disable = true"),
        NOTE,
        "NRI is off",
    ),
    Wrong("ND026", text("/etc/containerd/config.toml", "version = 2\n"), NOTE, "1.7 off"),
    Wrong(
        "ND026", text("/etc/containerd/config.toml", "version = \n"), UNKNOWN, "line 1, column 11"
    ),
    Wrong(
        "ND026",
        edit("/etc/containerd/config.toml", "version = 3", ""),
        NOTE,
        "takes no notice",
        "version = 2",
    ),
    Wrong(
        "ND026", without("/etc/containerd/config.toml"), UNKNOWN, "no configuration of a runtime"
    ),
]


@pytest.fixture(scope="module")
def planted() -> Iterator[Host]:
    with tempfile.TemporaryDirectory(prefix="numa-", dir="/tmp") as folder:
        yield Host.of(Path(folder), "kubeadm")


@pytest.fixture
def right(planted: Host) -> Iterator[Host]:
    yield planted
    planted.undo()


@pytest.mark.parametrize("wrong", WRONG, ids=lambda w: f"{w.code}-{w.seen[:30]}")
def test_what_is_wrong_is_found(wrong: Wrong, right: Host) -> None:
    """With how bad it is, what was seen, and the line to change."""
    host = wrong.do(right) or right
    verdict = host.finding(wrong.code).verdict
    assert verdict.severity is wrong.severity, verdict
    assert wrong.seen in verdict.seen
    if wrong.change is not None:
        assert verdict.remedy is not None
        assert any(wrong.change in line for line in verdict.remedy.lines), verdict.remedy


def test_each_check_has_a_host_on_which_it_finds_something() -> None:
    """No check is without a proof, and codes are given once."""
    assert {wrong.code for wrong in WRONG} == {check.code for check in CHECKS}
    assert len({check.code for check in CHECKS}) == len(CHECKS)


# How the missing policy, and the sum that is wrong, are to be written on each.
LINES = {
    "kubeadm": ("topologyManagerPolicy: single-numa-node", "  - numaNode: 1"),
    "k0s": ("topologyManagerPolicy: single-numa-node", "  - numaNode: 1"),
    "OpenShift": ("topologyManagerPolicy: single-numa-node", "  - numaNode: 1"),
    "Talos": ("topologyManagerPolicy: single-numa-node", "  - numaNode: 1"),
    "RKE2": (
        '  - "topology-manager-policy=single-numa-node"',
        '  - "reserved-memory=0:memory=768Mi;1:memory=768Mi"',
    ),
    "k3s": (
        '  - "topology-manager-policy=single-numa-node"',
        '  - "reserved-memory=0:memory=768Mi;1:memory=768Mi"',
    ),
    "MicroK8s": (
        "--topology-manager-policy=single-numa-node",
        "--reserved-memory=0:memory=768Mi;1:memory=768Mi",
    ),
}


def spoil(host: Host, distribution: str) -> None:
    """Without alignment, and with half a GiB more for the system than for the NUMA nodes."""
    for path in HOSTS[distribution][1]:
        file = host.folder / path.lstrip("/")
        content = file.read_text()
        content = content.replace("single-numa-node", "none")
        content = content.replace("memory=1Gi", "memory=1536Mi").replace("924Mi", "1436Mi")
        file.write_text(content)


@pytest.mark.parametrize("distribution", LINES)
def test_the_line_to_change_is_that_of_the_distribution(distribution: str, tmp_path: Path) -> None:
    """In the place, in the syntax and with the names of the distribution; then its commands."""
    host = Host.of(tmp_path, distribution)
    spoil(host, distribution)
    edited = host.evidence().distribution
    policy, memory = host.finding("ND002").verdict, host.finding("ND012").verdict
    for verdict, line in zip((policy, memory), LINES[distribution], strict=True):
        assert verdict.severity is Severity.ERROR
        assert verdict.remedy is not None
        assert verdict.remedy.where == edited.edit
        assert line in verdict.remedy.lines
    assert policy.place is not None
    assert policy.place.line is not None
    assert policy.remedy is not None
    assert (edited.then or f"`{edited.stop}`") in policy.remedy.then


@pytest.mark.parametrize("distribution", LINES)
def test_what_is_advised_is_right(distribution: str, tmp_path: Path) -> None:
    """With the advised reservation written down, the sum is right."""
    host = Host.of(tmp_path, distribution)
    spoil(host, distribution)
    remedy = host.finding("ND012").verdict.remedy
    assert remedy is not None
    if "numaNode" in LINES[distribution][1]:
        (path,) = (p for p, text in HOSTS[distribution][1].items() if text == KUBELET_YAML)
        host.change(
            path, KUBELET_YAML[KUBELET_YAML.index("reservedMemory") :], "\n".join(remedy.lines)
        )
    else:
        new = next(line for line in remedy.lines if "reserved-memory" in line).strip(' "-')
        for path in HOSTS[distribution][1]:
            old = "reserved-memory=0:memory=512Mi;1:memory=512Mi"
            if old in (host.folder / path.lstrip("/")).read_text():
                host.change(path, old, new)
    assert host.finding("ND012").verdict.severity is Severity.OK


def test_a_kubelet_that_does_not_run_is_judged_by_its_files(tmp_path: Path) -> None:
    """Where kubelet does not start, there is no command line: the files say where to look."""
    for distribution, (_, files) in HOSTS.items():
        folder = tmp_path / distribution
        host = Host.of(folder, distribution)
        for path in files:
            if path.startswith("/proc/"):
                host.remove(path)
        bad = [f for f in host.findings() if f.verdict.severity is not Severity.OK]
        assert bad == [], distribution
        host.write("/proc/1/cmdline", command_line("/sbin/init"))
        assert "not running" in host.finding("ND001").verdict.seen


def test_cgroup_1_is_no_mistake_where_kubelet_is_told_to_take_it(tmp_path: Path) -> None:
    """failCgroupV1: false has kubelet start on it, from 1.35 on too."""
    host = Host.of(tmp_path, "kubeadm")
    host.remove("/sys/fs/cgroup/cgroup.controllers")
    host.write("/sys/fs/cgroup/cpuset", "")
    host.change(KUBEADM_FILE, "kind", "failCgroupV1: false\nkind")
    assert host.finding("ND023").verdict.severity is NOTE
    host.change(KUBEADM_FILE, "failCgroupV1: false\n", "")
    host.change("/proc/812/cmdline", "--config", "--fail-cgroupv1=false\0--config")
    assert host.finding("ND023").verdict.severity is NOTE


def test_every_known_setting_is_documented() -> None:
    """docs/doctor.md names what a capture keeps of kubelet's file."""
    page = (Path(__file__).parents[2] / "docs/doctor.md").read_text()
    for key in KEPT_KEYS:
        assert f"`{key}`" in page, key


@pytest.mark.parametrize("line", ["pinning: by containerd since x", "not pinning: /x: refused"])
def test_where_the_runtime_pins_kubelets_policies_do_not_matter(line: str, right: Host) -> None:
    """As the agent says; then NRI must be on."""
    right.change(KUBEADM_FILE, "single-numa-node", "none")
    right.change(KUBEADM_FILE, "Policy: static", "Policy: none")
    right.change("/etc/containerd/config.toml", "disable = false", "disable = true")
    assert right.finding("ND002").verdict.severity is ERROR
    assert right.finding("ND026").verdict.severity is NOTE
    host = right.seen(agent=Answer(200, f"ready: x\n{line}\n"))
    assert host.finding("ND002").verdict.severity is OK
    assert host.finding("ND006").verdict.severity is OK
    assert host.finding("ND026").verdict.severity is WARNING
    evidence = gather(host.files(), host.folder / "sys", lambda _: host.observed, by_runtime=False)
    assert {f.check.code for f in examine(evidence) if f.verdict.severity is ERROR} >= {"ND002"}


def test_a_file_elsewhere_is_the_one_to_edit(right: Host) -> None:
    """Of a kubelet that is its own service, the file that it was started with."""
    right.change(KUBEADM_FILE, "single-numa-node", "none")
    right.write("/etc/kubelet.yaml", (right.folder / KUBEADM_FILE[1:]).read_text())
    right.change("/proc/812/cmdline", KUBEADM_FILE, "/etc/kubelet.yaml")
    verdict = right.finding("ND002").verdict
    assert verdict.remedy is not None
    assert (verdict.remedy.where, str(verdict.place)) == (
        "/etc/kubelet.yaml",
        "/etc/kubelet.yaml:6",
    )


def test_a_flag_that_overrides_the_file_is_named(right: Host) -> None:
    """Where to take it out, since the line in the file would change nothing."""
    right.change("/proc/812/cmdline", "--config", "--cpu-manager-policy=none\0--config")
    right.change(
        "/var/lib/kubelet/kubeadm-flags.env", "--node-ip", "--cpu-manager-policy=none --node-ip"
    )
    verdict = right.finding("ND006").verdict
    assert verdict.remedy is not None
    assert verdict.remedy.lines[0] == "cpuManagerPolicy: static"
    assert verdict.remedy.lines[1] == (
        "# and take --cpu-manager-policy out of /var/lib/kubelet/kubeadm-flags.env:1: it overrides"
        " the file"
    )


SETTINGS = {"ND002", "ND003", "ND006", "ND007", "ND008", "ND011", "ND012", "ND013"}


def test_what_is_not_seen_is_not_judged(right: Host) -> None:
    """A file that only root may read, or that a pod does not show, is no mistake of anybody's."""
    right.change("/proc/812/cmdline", KUBEADM_FILE, "/etc/kubelet.yaml")
    denied = evolve(right, unreadable={"/etc/kubelet.yaml": "cannot be read: Permission denied"})
    for host in (right, denied):
        found = {f.check.code: f.verdict.severity for f in host.findings()}
        assert {code for code, s in found.items() if s is UNKNOWN} == {"ND001"} | SETTINGS
        assert {code for code, s in found.items() if s.counts} == set()
    right.remove("/proc/812/cmdline")
    right.remove("/var/lib/kubelet/kubeadm-flags.env")
    right.change(KUBEADM_FILE, "kind", "kynd")
    assert right.finding("ND001").verdict.severity is ERROR


def test_a_kubelet_without_settings_has_its_defaults(right: Host) -> None:
    """Where its command line is seen to have none, they are known, and are not right."""
    right.write("/proc/812/cmdline", command_line("/usr/bin/kubelet", "--v=2"))
    assert right.finding("ND001").verdict.severity is OK
    assert right.finding("ND002").verdict.severity is ERROR
    assert right.finding("ND007").verdict.severity is NOTE
    assert right.finding("ND008").verdict.severity is ERROR


@pytest.mark.parametrize(
    ("line", "severity", "seen"),
    [("quiet", NOTE, "knows no NUMA nodes"), ("quiet numa=off", WARNING, "numa=off")],
)
def test_a_kernel_without_numa_has_nothing_to_align(
    line: str, severity: Severity, seen: str, tmp_path: Path
) -> None:
    """Unless it was told to show none."""
    host = Host.of(tmp_path, "kubeadm", "no-numa")
    host.write("/proc/cmdline", line)
    verdict = host.finding("ND015").verdict
    assert verdict.severity is severity
    assert seen in verdict.seen


def test_what_is_advised_for_memory_is_right(right: Host) -> None:
    """Where nothing was reserved: with both settings written down, kubelet starts."""
    nothing_reserved(right)
    remedy = right.finding("ND012").verdict.remedy
    assert remedy is not None
    right.change(KUBEADM_FILE, 'systemReserved:\n  cpu: "1"\n', "\n".join(remedy.lines) + "\n")
    assert right.finding("ND012").verdict.severity is OK
    assert right.finding("ND007").verdict.severity is OK


def test_a_path_to_delete_is_one_word_for_the_shell(right: Host) -> None:
    """A capture may come from anybody, and so the root directory in it."""
    right.change("/proc/812/cmdline", "--config", "--root-dir=/x; reboot\0--config")
    right.write("/x; reboot/cpu_manager_state", "")
    remedy = right.finding("ND008").verdict.remedy
    assert remedy is not None
    assert "rm '/x; reboot/cpu_manager_state'" in remedy.lines
