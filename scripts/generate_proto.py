#!/usr/bin/env python3
"""Generate src/numa_trio/kubelet/api from proto/; with --check, fail where the two differ.

Needs the development requirements: protoc comes with grpcio-tools.
"""

import argparse
import filecmp
import os
import shutil
import sys
import tempfile
from pathlib import Path

from grpc_tools import protoc

ROOT = Path(__file__).resolve().parent.parent
PROTO = ROOT / "proto"
API = ROOT / "src/numa_trio/kubelet/api"
OPTIONS = "client_generation=async,server_generation=async"


def generate(target: Path) -> None:
    """Write the package generated from every file under proto/ into `target`."""
    # protoc looks for its plugin on PATH, and the plugin for ruff: this interpreter's come first.
    os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    os.chdir(ROOT)  # ruff formats by this project's pyproject.toml
    status = protoc.main(
        [
            "protoc",
            f"--proto_path={PROTO}",
            f"--python_betterproto2_out={target}",
            f"--python_betterproto2_opt={OPTIONS}",
            *sorted(str(path) for path in PROTO.rglob("*.proto")),
        ]
    )
    if status != 0:
        raise SystemExit(f"protoc failed with status {status}")


def sources(root: Path) -> set[Path]:
    """The files of a package, without what the interpreter left there."""
    return {
        path.relative_to(root)
        for path in root.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def differing(committed: Path, fresh: Path) -> list[Path]:
    """Files that only one of the two has, or whose contents differ."""
    paths = sources(committed) | sources(fresh)
    _, mismatch, missing = filecmp.cmpfiles(committed, fresh, map(str, paths), shallow=False)
    return sorted(Path(name) for name in mismatch + missing)


def main() -> int:
    """Generate, or check."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--check", action="store_true", help="write nothing, only compare")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as directory:
        fresh = Path(directory)
        generate(fresh)
        if arguments.check:
            names = differing(API, fresh)
            for name in names:
                print(f"{API.relative_to(ROOT) / name} is not what proto/ gives: run `just proto`")
            return 1 if names else 0
        shutil.rmtree(API, ignore_errors=True)
        shutil.copytree(fresh, API)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
