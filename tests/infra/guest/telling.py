"""Facts for the tests on the host, one JSON object a line."""

import json
import sys
from pathlib import Path
from typing import Any


def tell(fact: str, **details: Any) -> None:
    """Print one fact."""
    sys.stdout.write(json.dumps({"fact": fact, "uptime": uptime(), **details}) + "\n")
    sys.stdout.flush()


def uptime() -> float:
    """Seconds since the kernel started."""
    return float(Path("/proc/uptime").read_text().split()[0])
