"""The committed messages are what proto/ gives, and need nothing beyond the requirements."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


def test_generated_package_is_what_proto_gives() -> None:
    """Nobody edited the generated package, or proto/ without generating again."""
    check = subprocess.run(
        [sys.executable, ROOT / "scripts/generate_proto.py", "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert check.returncode == 0, check.stdout + check.stderr


def test_generated_package_works_where_pydantic_is_missing() -> None:
    """The messages import and encode without pydantic, which betterproto2 can do without."""
    program = (
        "import sys; sys.modules['pydantic'] = None\n"
        "from numa_trio.kubelet.api.v1beta1 import Device\n"
        "sys.stdout.buffer.write(bytes(Device(id='numa-0-1')))"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, check=True)
    assert result.stdout == b"\n\x08numa-0-1"
