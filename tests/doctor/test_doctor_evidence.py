"""Which of kubelet's settings counts, how they add up, and that no file can do harm."""

import struct
import tempfile
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import pytest
from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st

from doctor_hosts import HOSTS, KUBELET_YAML, RANCHER_YAML, Host, command_line
from numa_trio.doctor.evidence.gather import gather
from numa_trio.doctor.evidence.kubelet_config import KubeletConfig, Setting
from numa_trio.doctor.evidence.kubelet_flags import parse_flags, value_of
from numa_trio.doctor.evidence.reservations import Unusable, eviction_threshold
from numa_trio.doctor.evidence.seen import Missing, Place
from numa_trio.doctor.evidence.yaml_lines import LEFT_OUT, Settings, only, parse_settings

KUBEADM_FILE = "/var/lib/kubelet/config.yaml"
HEAD = "kind: KubeletConfiguration\n"


def kubelet(host: Host, *words: str) -> None:
    host.write("/proc/812/cmdline", command_line("/usr/bin/kubelet", *words))


def test_flags_count_before_drop_ins_and_those_before_the_file(tmp_path: Path) -> None:
    """Each setting says which of them gave it."""
    host = Host.of(tmp_path, "kubeadm")
    folder = "/etc/kubernetes/kubelet.conf.d"
    host.write(f"{folder}/20-b.conf", f"{HEAD}topologyManagerScope: pod\ncpuManagerPolicy: none\n")
    host.write(f"{folder}/10-a.conf", f"{HEAD}topologyManagerScope: container\n")
    host.write(f"{folder}/30-c.conf.bak", f"{HEAD}topologyManagerScope: none\n")
    host.write(f"{folder}/inner/40-d.conf", f"{HEAD}memoryManagerPolicy: None\n")
    kubelet(
        host,
        f"--config={KUBEADM_FILE}",
        "--config-dir",
        folder,
        "--cpu-manager-policy=static",
        "--topology_manager_policy=restricted",
    )
    config = host.evidence().config
    found = {key: (s.value, str(s.place)) for key, s in config.settings.items()}
    assert found["topologyManagerScope"] == ("pod", f"{folder}/20-b.conf:2")
    assert found["cpuManagerPolicy"] == ("static", "/proc/812/cmdline")
    assert found["topologyManagerPolicy"] == ("restricted", "/proc/812/cmdline")
    assert found["memoryManagerPolicy"] == ("None", f"{folder}/inner/40-d.conf:2")
    assert found["systemReserved"][1] == f"{KUBEADM_FILE}:9"


def test_drop_ins_that_are_not_shown_are_missed(tmp_path: Path) -> None:
    """A folder that kubelet was given: what is in it is not known; an empty one is all there is."""
    host = Host.of(tmp_path, "kubeadm")
    kubelet(host, f"--config={KUBEADM_FILE}", "--config-dir=/d")
    assert host.evidence().config.problems == {"/d": "there is no such file"}
    (host.folder / "d").mkdir()
    assert host.evidence().config.complete
    denied = evolve(host, unreadable={"/d": "cannot be listed: Permission denied"})
    assert not denied.evidence().config.complete


def test_drop_ins_are_merged_key_by_key(tmp_path: Path) -> None:
    """Maps are put together, null takes a key out, lists are replaced."""
    host = Host.of(tmp_path, "kubeadm")
    folder = "/drop-ins"
    host.write(
        f"{folder}/a.conf",
        f"{HEAD}systemReserved: {{memory: 1Gi, cpu: null}}\nkubeReserved: {{cpu: '2'}}\n"
        "reservedMemory: [{numaNode: 0, limits: {memory: 1Gi}}]\ncpuManagerPolicy: null\n",
    )
    kubelet(host, f"--config={KUBEADM_FILE}", f"--config-dir={folder}")
    config = host.evidence().config
    assert config.map("systemReserved") == {"memory": "1Gi"}
    assert config.map("kubeReserved") == {"cpu": "2"}
    assert config.settings["reservedMemory"].value == [{"numaNode": 0, "limits": {"memory": "1Gi"}}]
    assert "cpuManagerPolicy" not in config.settings


@pytest.mark.parametrize(
    ("words", "drop_in", "threshold"),
    [
        ((), None, None),  # without a file, kubelet has no threshold at all
        ((), "evictionHard: {nodefs.available: 5%}", None),
        ((f"--config={KUBEADM_FILE}",), None, "100Mi"),
        ((f"--config={KUBEADM_FILE}",), "evictionHard: {nodefs.available: 5%}", "100Mi"),
        ((f"--config={KUBEADM_FILE}",), "evictionHard: {memory.available: 1%}", "1%"),
        ((f"--config={KUBEADM_FILE}", "--eviction-hard=nodefs.available<5%"), None, None),
        (("--eviction-hard=memory.available<2%",), None, "2%"),
        (("--eviction-hard=a<5%",), "mergeDefaultEvictionSettings: true", "100Mi"),
    ],
)
def test_the_threshold_for_memory_is_the_one_kubelet_has(
    words: tuple[str, ...], drop_in: str | None, threshold: str | None, tmp_path: Path
) -> None:
    """Kubelet adds 100Mi only to a file that has no evictionHard; a flag replaces all of it."""
    host = Host.of(tmp_path, "kubeadm")
    if drop_in is not None:
        host.write("/d/a.conf", HEAD + drop_in)
        words = (*words, "--config-dir=/d")
    kubelet(host, *words)
    assert host.evidence().config.map("evictionHard").get("memory.available") == threshold


def test_rancher_reads_its_files_in_order(tmp_path: Path) -> None:
    """A later file replaces kubelet-arg, `kubelet-arg+` adds to it; the line is the argument's."""
    host = Host.of(tmp_path, "k3s")
    folder = "/etc/rancher/k3s/config.yaml.d"
    config = host.evidence().config
    assert str(config.settings["cpuManagerPolicy"].place) == "/etc/rancher/k3s/config.yaml:5"
    host.write(f"{folder}/10.yaml", "kubelet-arg+: cpu-manager-policy=none\n")
    assert host.evidence().config.text("cpuManagerPolicy", "").value == "none"
    assert host.evidence().config.text("memoryManagerPolicy", "").value == "Static"
    host.write(f"{folder}/20.yml", "kubelet-arg: [--memory-manager-policy=None]\n")
    assert host.evidence().config.text("cpuManagerPolicy", "-").value == "-"
    assert host.evidence().config.text("memoryManagerPolicy", "").value == "None"


K3S_UNIT = """\
[Service]
Environment=K3S_TOKEN=c2VjcmV0
ExecStart=/usr/local/bin/k3s \\
    agent \\
\t'--token=c2VjcmV0' \\
\t'--kubelet-arg=cpu-manager-policy=none' \\
\t'--kubelet-arg' \\
\t'topology-manager-policy=restricted'

ExecStartPost=-/bin/c2VjcmV0 --kubelet-arg=cpu-manager-policy=static
"""


def test_what_k3s_was_installed_with_is_in_its_unit(tmp_path: Path) -> None:
    """Its list replaces that of the files; a capture keeps the flags, at their lines."""
    host = Host.of(tmp_path, "k3s")
    unit = "/etc/systemd/system/k3s-agent.service"
    host.write(unit, K3S_UNIT)
    files = host.files()
    config = gather(files, host.folder / "sys", lambda _: host.observed).config
    assert str(config.settings["cpuManagerPolicy"].place) == f"{unit}:6"
    assert config.text("topologyManagerPolicy", "").value == "restricted"
    assert "memoryManagerPolicy" not in config.settings
    assert b"c2VjcmV0" not in files.kept[unit]
    host.write(unit, files.kept[unit])
    assert host.evidence().config == config
    host.write("/proc/901/cmdline", command_line("k3s", "agent", "--kubelet-arg", "root-dir=/x"))
    assert host.evidence().config.root == "/x"


def test_k3s_before_drop_ins_has_its_own_threshold(tmp_path: Path) -> None:
    """Up to 1.31, k3s gives kubelet an evictionHard without memory as a flag."""
    host = Host.of(tmp_path, "k3s")
    host.remove("/var/lib/rancher/k3s/agent/etc/kubelet.conf.d/00-k3s-defaults.conf")
    assert host.evidence().config.map("evictionHard").keys() == {
        "imagefs.available",
        "nodefs.available",
    }


def single(number: float) -> float:
    (nearest,) = struct.unpack("f", struct.pack("f", number))
    return float(nearest)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("100Mi", 100 << 20), ("0%", 0), ("100%", 0), ("10%", 836096012), ("5%", 418048006)],
)
def test_a_percentage_is_of_the_memory_to_the_byte(text: str, expected: int) -> None:
    """Kubelet multiplies with a part of 32 bits, so that 10% is a little more than a tenth."""
    config = KubeletConfig({"evictionHard": Setting({"memory.available": text})})
    capacity = 8165000 << 10
    assert eviction_threshold(config, capacity) == expected
    if text == "10%":
        assert Fraction(expected) == int(capacity * single(single(10.0) / 100))


@pytest.mark.parametrize("text", ["0", "-5%", "101%", "x", "nan%", "%", 5])
def test_a_bad_threshold_is_told(text: object) -> None:
    """With the setting's name, and what was found."""
    config = KubeletConfig({"evictionHard": Setting({"memory.available": text})})
    with pytest.raises(Unusable, match=r"evictionHard\.memory\.available: "):
        eviction_threshold(config, 1 << 30)


# ---- Whatever is in the files ----

words = st.text(st.characters(codec="utf-8"), max_size=40)
flag_words = st.one_of(
    words,
    st.builds(
        "--{}={}".format,
        st.sampled_from(["reserved-memory", "system-reserved", "eviction-hard", "config"]),
        words,
    ),
)


@given(st.lists(flag_words, max_size=8))
def test_any_command_line_gives_flags_or_says_what_is_wrong(given_words: list[str]) -> None:
    """A flag's value is a value, or a ValueError."""
    for flag in parse_flags((word, Place("x")) for word in given_words):
        try:
            value = value_of([flag])
        except ValueError as problem:
            value = str(problem)
        assert isinstance(value, str | list | dict)


values = st.recursive(
    st.none() | st.booleans() | st.integers() | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words, inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.sampled_from(["kind", "token", "a b", "systemReserved"]), values))
def test_what_is_kept_of_a_file_stays_at_its_line(tree: dict[str, object]) -> None:
    """The kept file has the values that were to be kept, and their lines."""
    import yaml

    whole = parse_settings(yaml.safe_dump(tree, allow_unicode=True).encode())
    assert isinstance(whole, Settings)

    def keep(key: str, value: object) -> object:
        return LEFT_OUT if key == "token" else value

    kept = parse_settings(only(whole, keep))
    assert isinstance(kept, Settings)
    wanted = {k: v for k, v in whole.values.items() if k != "token"}
    assert kept.values == wanted
    for key in wanted:
        assert kept.lines.get(key) == whole.lines.get(key)


@pytest.fixture(scope="module")
def planted() -> Iterator[dict[Host, list[Path]]]:
    """One host of each distribution, with its files."""
    with tempfile.TemporaryDirectory(prefix="numa-", dir="/tmp") as folder:
        hosts = [Host.of(Path(folder, name), name) for name in sorted(HOSTS)]
        yield {
            host: [
                p.relative_to(host.folder) for p in sorted(host.folder.rglob("*")) if p.is_file()
            ]
            for host in hosts
        }


@given(data=st.data())
def test_no_file_keeps_the_checks_from_their_findings(
    planted: dict[Host, list[Path]], data: st.DataObject
) -> None:
    """Bytes of any kind, in any file: each check still says something."""
    host = data.draw(st.sampled_from([*planted]))
    try:
        for path in data.draw(st.lists(st.sampled_from(planted[host]), min_size=1, max_size=3)):
            whole = (host.folder / path).read_bytes()
            at = data.draw(st.integers(0, len(whole)))
            host.write(str(path), whole[:at] + data.draw(st.binary(max_size=12)) + whole[at + 3 :])
        assert all(finding.verdict.seen for finding in host.findings())
    finally:
        host.undo()


def test_deep_and_large_files_are_refused(tmp_path: Path) -> None:
    """Neither levels without end nor a file without end is read."""
    host = Host.of(tmp_path, "kubeadm")
    host.write(f"{host.state}/cpu_manager_state", "[" * 200_000)
    host.write("/etc/containerd/config.toml", "a = " + "[" * 100_000)
    host.write(KUBEADM_FILE, KUBELET_YAML + "#" * (1 << 20))
    seen = {f.check.code: f.verdict.seen for f in host.findings()}
    assert "has more than 1048576 bytes" in seen["ND001"]
    assert "is not JSON" in seen["ND008"]
    assert "too deep" in seen["ND026"]
    (host.folder / KUBEADM_FILE.lstrip("/")).unlink()
    import os

    os.mkfifo(host.folder / KUBEADM_FILE.lstrip("/"))
    assert "not a regular file" in host.finding("ND001").verdict.seen


def test_a_command_line_without_kubelet_is_none(tmp_path: Path) -> None:
    """`k3s kubectl` runs no kubelet, and a root without /proc does not tell."""
    host = Host.of(tmp_path, "k3s")
    host.write("/proc/901/cmdline", command_line("/usr/local/bin/k3s", "kubectl", "get", "nodes"))
    process = host.evidence().process
    assert isinstance(process, Missing)
    assert process.absent
    assert RANCHER_YAML.splitlines()[2] == "kubelet-arg:"
