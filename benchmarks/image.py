"""How much a node pulls: the compressed size of an image."""

import gzip
import shutil
import subprocess
from pathlib import Path
from tempfile import TemporaryDirectory


def compressed_image_bytes(reference: str) -> int:
    """The size of the image as a compressed archive; needs buildah or podman.

    Raises FileNotFoundError without either, CalledProcessError if there is no such image.
    """
    tool = shutil.which("buildah") or shutil.which("podman")
    if tool is None:
        raise FileNotFoundError("neither buildah nor podman is here to tell the image's size")
    with TemporaryDirectory() as directory:
        archive = Path(directory) / "image.tar"
        subprocess.run([tool, "push", "--quiet", reference, f"oci-archive:{archive}"], check=True)
        return archive.stat().st_size


def compressed_file_bytes(program: Path) -> int:
    """The size that an image with just this program would have."""
    return len(gzip.compress(program.read_bytes(), compresslevel=6))
