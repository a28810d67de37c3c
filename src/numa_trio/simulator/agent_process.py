"""The agent's process: `numa-trio run`, which ends when its standard input does.

The simulation holds the other end of that pipe and never writes to it. However the simulation
ends, SIGKILL included, the kernel closes the pipe, and the agent hears SIGTERM. (A parent-death
signal will not do: it comes at the end of the thread that started the process.)
"""

import os
import runpy
import signal
import sys
import threading


def _end_with_standard_input() -> None:
    os.read(0, 1)  # not sys.stdin, whose lock the interpreter wants at its end
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=_end_with_standard_input, daemon=True).start()
    sys.argv = ["numa-trio", "run"]
    runpy.run_module("numa_trio", run_name="__main__", alter_sys=True)
