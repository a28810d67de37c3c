"""What starting took is given back."""

import subprocess
import sys

PROGRAM = """
import gc
import trio
from trio.testing import MockClock
from numa_trio.agent import service, settling

def resident_pages():
    return int(open("/proc/self/statm").read().split()[1])

before = resident_pages()
trio.run(settling.settle, clock=MockClock(autojump_threshold=0))
print(before, resident_pages(), gc.get_freeze_count())
"""


def test_what_stays_is_collected_no_more() -> None:
    """The collector skips what stays, and resident memory is not more than before."""
    shown = subprocess.run(
        [sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=True
    ).stdout
    before, after, frozen = map(int, shown.split())
    assert after <= before * 1.01
    assert frozen > 10_000
