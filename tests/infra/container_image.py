"""Container images of static programs, as `docker save` writes them: no registry is needed."""

import hashlib
import io
import json
import tarfile
from collections.abc import Mapping, Sequence


def image_archive(name: str, programs: Mapping[str, bytes], entrypoint: Sequence[str]) -> bytes:
    """An image of these programs, by their paths, that runs `entrypoint`."""
    layer = _tar({path: (program, 0o755) for path, program in programs.items()})
    configuration = {
        "architecture": "amd64",
        "os": "linux",
        "config": {"Entrypoint": list(entrypoint)},
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hashlib.sha256(layer).hexdigest()}"]},
    }
    manifest = [{"Config": "config.json", "RepoTags": [name], "Layers": ["layer.tar"]}]
    files = {
        "layer.tar": layer,
        "config.json": json.dumps(configuration).encode(),
        "manifest.json": json.dumps(manifest).encode(),
    }
    return _tar({path: (content, 0o644) for path, content in files.items()})


def _tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        for path, (content, mode) in files.items():
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), mode
            tar.addfile(member, io.BytesIO(content))
    return out.getvalue()
