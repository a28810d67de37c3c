"""What the agent counts of the runtime's containers."""

import time
import urllib.error
import urllib.request

from kubelet_view import PATIENCE

METRICS = "http://127.0.0.1:9410/metrics"
_NAMES = "numa_trio_runtime_"


def counts() -> list[str]:
    """The samples about the runtime, as lines of text; none while the agent does not answer."""
    try:
        with urllib.request.urlopen(METRICS, timeout=PATIENCE) as answer:
            lines = answer.read().decode().splitlines()
    except urllib.error.URLError:
        return []
    return [line for line in lines if line.startswith(_NAMES)]


def wait_for_count(sample: str) -> None:
    """Wait until this is one of the samples."""
    deadline = time.monotonic() + PATIENCE
    while f"{_NAMES}{sample}" not in (lines := counts()):
        if time.monotonic() > deadline:
            raise TimeoutError(f"{sample} is not counted, but {lines}")
        time.sleep(0.2)
