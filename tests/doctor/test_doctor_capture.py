"""`--capture`: the same findings elsewhere, the files that are documented, and no secret."""

import gzip
import io
import re
import tarfile
from collections.abc import Callable
from pathlib import Path

import pytest

from doctor_hosts import HOSTS, SECRET, Host, look_at
from numa_trio.cli import main
from numa_trio.doctor import archive
from numa_trio.doctor.archive import open_root
from numa_trio.doctor.capture import write_capture
from numa_trio.doctor.evidence.observations import FILE, NotACapture

DOCS = Path(__file__).parents[2] / "docs/doctor.md"


def capture(host: Host, out: Path) -> Path:
    """Captures a host as doctor does, with what would be observed."""
    files = host.files()
    from numa_trio.doctor.evidence.gather import gather

    evidence = gather(files, host.folder / "sys", lambda _: host.observed)
    write_capture(out, files, host.folder / "sys", evidence)
    return out


def spoil_nothing(_: Host) -> None:
    pass


def bad_yaml(host: Host) -> None:
    for path in HOSTS["kubeadm"][1]:
        if path.endswith("config.yaml"):
            host.write(path, f"kind: [{SECRET}\n")


def bad_state(host: Host) -> None:
    host.write(f"{host.state}/cpu_manager_state", '{"policyName":\n')
    host.write(f"{host.state}/memory_manager_state", '{"policyName": "Static", "machineState": 1}')


def no_policies(host: Host) -> None:
    for file in host.folder.rglob("*"):
        if file.is_file() and b"single-numa-node" in (content := file.read_bytes()):
            file.write_bytes(content.replace(b"single-numa-node", b"none"))


@pytest.mark.parametrize("spoil", [spoil_nothing, bad_yaml, bad_state, no_policies])
@pytest.mark.parametrize("distribution", HOSTS)
def test_a_capture_has_the_findings_of_the_host(
    distribution: str, spoil: Callable[[Host], None], tmp_path: Path
) -> None:
    """To the word, with the same paths and lines; and the capture of a capture is the capture."""
    host = Host.of(tmp_path / "host", distribution)
    spoil(host)
    found = host.findings()
    with open_root(capture(host, tmp_path / "first.tar.gz")) as root:
        assert look_at(root) == found
        assert main(["doctor", "--root", str(root), "--capture", str(tmp_path / "2.tar.gz")]) == 0
    with open_root(tmp_path / "2.tar.gz") as root:
        assert look_at(root) == found


@pytest.mark.parametrize("distribution", HOSTS)
def test_a_capture_holds_no_secret(distribution: str, tmp_path: Path) -> None:
    """Neither tokens and passwords beside kubelet's settings, nor comments, nor other processes."""
    host = Host.of(tmp_path / "host", distribution)
    host.write("/proc/3000/cmdline", f"/usr/bin/other\0--password={SECRET}\0")
    planted = [f for f in host.folder.rglob("*") if f.is_file() and SECRET in f.read_text()]
    assert len(planted) > 2
    with open_root(capture(host, tmp_path / "out.tar.gz")) as root:
        told = [f for f in root.rglob("*") if f.is_file() and SECRET in f.read_text()]
        assert told == []


def test_the_files_of_a_capture_are_documented(tmp_path: Path) -> None:
    """Each file that any capture of these hosts holds is in the list of docs/doctor.md."""
    listed = re.search(r"(?ms)^## What a capture holds\n(.*?)^## ", DOCS.read_text())
    assert listed is not None
    patterns = re.findall(r"`(/?[^`\s]+)`", listed[1])
    unlisted = set()
    for distribution in HOSTS:
        host = Host.of(tmp_path / distribution, distribution)
        with tarfile.open(capture(host, tmp_path / "out.tar.gz")) as tar:
            names = [f"/{entry.name}" for entry in tar if entry.isfile()]
        unlisted |= {n for n in names if not any(_matches(n, p) for p in patterns)}
    assert unlisted == set()


def _matches(name: str, pattern: str) -> bool:
    expression = re.escape(pattern).replace(r"\*", "[^/]*").replace("<pid>", "[0-9]+")
    return re.fullmatch(expression.replace("/+", "/"), name) is not None or name == f"/{pattern}"


def test_links_of_a_host_lead_where_they_do_there(tmp_path: Path) -> None:
    """An absolute link is followed below the root, and none leads out of it."""
    host = Host.of(tmp_path / "host", "kubeadm")
    (tmp_path / "secret").write_text(SECRET)
    config = host.folder / "var/lib/kubelet/config.yaml"
    config.rename(host.folder / "etc/real.yaml")
    config.symlink_to("/etc/real.yaml")
    (host.folder / "etc/default").mkdir()
    (host.folder / "etc/default/kubelet").symlink_to(f"{'../' * 20}{tmp_path}/secret")
    assert host.finding("ND002").verdict.seen == "topologyManagerPolicy: single-numa-node"
    assert not (tmp_path / "host/tmp").exists()
    assert host.files().where("/etc/default/kubelet") == host.folder / f"{tmp_path}/secret".lstrip(
        "/"
    )


def tar_of(*entries: tarfile.TarInfo) -> bytes:
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w:gz") as tar:
        for entry in entries:
            tar.addfile(entry, io.BytesIO(bytes(entry.size)))
    return raw.getvalue()


def entry(name: str, kind: bytes = tarfile.REGTYPE, size: int = 0) -> tarfile.TarInfo:
    found = tarfile.TarInfo(name)
    found.type, found.size, found.linkname = kind, size, "/etc/passwd"
    return found


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "is not a gzipped tar archive"),
        (b"plain", "is not a gzipped tar archive"),
        (gzip.compress(b"no tar"), "is not a gzipped tar archive"),
        (tar_of(entry("a"))[:-20], "is not a gzipped tar archive"),
        (tar_of(entry("../a")), "'../a': expected a path below"),
        (tar_of(entry("/etc/a")), "'/etc/a': expected a path below"),
        (tar_of(entry("a", tarfile.SYMTYPE)), "'a' is no file or folder"),
        (tar_of(entry("a", tarfile.FIFOTYPE)), "'a' is no file or folder"),
        (tar_of(*(entry(str(n)) for n in range(11))), "has more than 10 entries"),
        (tar_of(entry("a", size=2 << 20)), "has more than 1 MiB"),
    ],
    ids=map(str, range(10)),
)
def test_a_bad_archive_is_refused(
    content: bytes,
    told: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """With status 2 and its name, within bounds, and nothing is written outside."""
    monkeypatch.setattr(archive, "_MOST_ENTRIES", 10)
    monkeypatch.setattr(archive, "_MOST_BYTES", 1 << 20)
    (tmp_path / "in").mkdir()
    file = tmp_path / "in/x.tar.gz"
    file.write_bytes(content)
    before = set(tmp_path.iterdir())
    assert main(["doctor", "--root", str(file)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"numa-trio doctor: {file}: ")
    assert told in error
    assert set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "content", ["{", "[]", "{}", '{"version": 2}', "[" * 100_000, '{"version": 1, "agent": 3}']
)
def test_a_bad_record_of_what_was_observed_is_refused(
    content: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With status 2; the record may come from anybody."""
    host = Host.of(tmp_path, "kubeadm")
    host.write(FILE, content)
    assert main(["doctor", "--root", str(tmp_path)]) == 2
    assert FILE in capsys.readouterr().err


def test_an_archive_within_an_archive_is_no_root(tmp_path: Path) -> None:
    """A folder in place of a file, or the other way round, is refused as well."""
    file = tmp_path / "x.tar.gz"
    file.write_bytes(tar_of(entry("a"), entry("a/b")))
    with pytest.raises((NotACapture, OSError)), open_root(file):
        pass
