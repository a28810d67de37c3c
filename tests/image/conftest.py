"""Builds the image once for all its tests, on a base made of Debian packages."""

import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from grpcio_kubelet import GrpcioKubelet
from image.container import ENVIRONMENT, Container, image_configuration, output_of, unpacked

ROOT = Path(__file__).resolve().parents[2]
BASE = "localhost/numa-trio-test-base:bookworm"
IMAGE = "localhost/numa-trio:test"

Report = Callable[[str], None]
Start = Callable[..., Container]


@pytest.fixture(scope="session", autouse=True)
def tools() -> None:
    """A missing tool is a failure: whoever runs these tests asked for them."""
    missing = [name for name in ("buildah", "debootstrap", "runc") if shutil.which(name) is None]
    assert not missing, f"the image tests need: apt-get install {' '.join(missing)}"


@pytest.fixture(scope="session")
def base() -> str:
    """The base image; made once on a machine."""
    known = subprocess.run(
        ["buildah", "inspect", "--type=image", BASE],
        capture_output=True,
        check=False,
        env=ENVIRONMENT,
    )
    if known.returncode != 0:
        output_of(ROOT / "scripts/build-base-image", BASE)
    return BASE


def trusted_volumes() -> list[str]:
    """Options by which pip inside a build trusts the certificates that this machine trusts."""
    paths = ["/etc/ssl/certs", "/usr/share/ca-certificates"]
    return [f"--volume={path}:{path}:ro" for path in paths if Path(path).is_dir()]


def build(base: str, name: str, *options: str, epoch: int | None = None) -> str:
    """Build the image as `just build` does; returns what was printed.

    `epoch` is the date that its files get, in seconds; the commit's, if it is None.
    """
    date = [] if epoch is None else [f"SOURCE_DATE_EPOCH={epoch}"]
    return output_of(
        "env",
        "ENGINE=buildah",
        f"BASE_IMAGE={base}",
        *date,
        ROOT / "scripts/build-image",
        name,
        *trusted_volumes(),
        *options,
    )


@pytest.fixture(scope="session")
def report(request: pytest.FixtureRequest) -> Report:
    """Shows a measured figure in pytest's output; none of them is asserted."""
    terminal = request.config.pluginmanager.getplugin("terminalreporter")
    capture = request.config.pluginmanager.getplugin("capturemanager")

    def show(line: str) -> None:
        with capture.global_and_fixture_disabled():
            terminal.write_line(line)

    return show


@pytest.fixture(scope="session")
def image(base: str, report: Report) -> str:
    """The name of the image under test, just built."""
    report(build(base, IMAGE).splitlines()[-1])
    return IMAGE


@pytest.fixture(scope="session")
def configuration(image: str) -> dict[str, Any]:
    """What the image says of itself."""
    return image_configuration(image)


@pytest.fixture(scope="session")
def root(image: str) -> Iterator[Path]:
    """The image's file system, unpacked."""
    with unpacked(image) as path:
        yield path


@pytest.fixture
def kubelet() -> Iterator[GrpcioKubelet]:
    """A kubelet on this side of a directory short enough for a socket's path."""
    with tempfile.TemporaryDirectory(prefix="numa-trio-") as directory:
        kubelet = GrpcioKubelet(Path(directory))
        kubelet.start()
        yield kubelet
        kubelet.stop()


@pytest.fixture
def start(
    root: Path, configuration: dict[str, Any], kubelet: GrpcioKubelet, tmp_path: Path
) -> Iterator[Start]:
    """Starts containers of the image and removes them afterwards."""
    started: list[Container] = []

    def start_container(
        *arguments: str,
        host_sys: bool = False,
        mounts: Sequence[dict[str, Any]] = (),
        **changes: Any,
    ) -> Container:
        bundle = tmp_path / f"bundle-{len(started)}"
        config = {**configuration["config"], **changes}
        container = Container(
            root,
            {"config": config},
            bundle,
            kubelet.directory,
            arguments,
            host_sys=host_sys,
            mounts=mounts,
        )
        started.append(container)
        return container

    yield start_container
    for container in started:
        container.remove()
