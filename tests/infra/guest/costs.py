"""What it costs: the time to create a container, a process's memory and how often it wakes up."""

import re
import time
from collections.abc import Mapping
from pathlib import Path

from containerd import SLEEP, image_name
from cri import Pod, Runtime, Workload

CREATIONS = 10
IDLE_SECONDS = 10


def creations(runtime: Runtime, pod: Pod, annotations: Mapping[str, str]) -> list[float]:
    """Seconds that each of some creations takes; what is created is forgotten again."""
    seconds = []
    workload = Workload("created", image_name(), SLEEP, annotations)
    for _ in range(CREATIONS):
        began = time.monotonic()
        container = runtime.create(pod, workload)
        seconds.append(time.monotonic() - began)
        runtime.remove(container)
    return seconds


def wake_ups(process: int) -> int:
    """How often the threads of a process have waited and been woken."""
    tasks = Path(f"/proc/{process}/task").iterdir()
    return sum(_number(task / "status", "voluntary_ctxt_switches") for task in tasks)


def resident_kib(process: int) -> int:
    """The memory of a process that is in use, in KiB."""
    return _number(Path(f"/proc/{process}/status"), "VmRSS")


def _number(file: Path, name: str) -> int:
    (number,) = re.findall(rf"^{name}:\s*(\d+)", file.read_text(), re.MULTILINE)
    return int(number)
