"""Small sysfs trees, as kernels of various machines write them."""

from collections.abc import Mapping
from pathlib import Path

import yaml

MACHINES = Path(__file__).parent / "fixtures" / "sysfs"


def plant(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files under `root`, which is returned; a text gets the newline that kernels write."""
    for path, content in files.items():
        file = root / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content if isinstance(content, bytes) else f"{content}\n".encode())
    return root


def plant_nodes(root: Path, files: Mapping[str, str | bytes]) -> Path:
    """Write files under devices/system/node of a sysfs with this `root`, which is returned."""
    return plant(root, {f"devices/system/node/{path}": content for path, content in files.items()})


def plant_machine(root: Path, name: str) -> Path:
    """Write the machine fixtures/sysfs/`name`.yaml: each path in sysfs with what it holds."""
    files: dict[str, str] = yaml.safe_load((MACHINES / f"{name}.yaml").read_text())
    return plant(root, files)
