"""The state file of kubelet's Static Memory Manager, and what becomes of it at a boot."""

import json

from kubelet_service import ROOT
from systemd import properties
from telling import tell

from numa_trio.simulator.kubelet_config import MemoryManagerPolicy
from numa_trio.simulator.memory_state import MEMORY_STATE
from numa_trio.simulator.state_file import StateFile

FILE = ROOT / MEMORY_STATE
UNIT = "numa-trio-memory-state.service"
ANOTHER_MACHINE = 4096  # bytes more on node 1


def change() -> None:
    """Have the file tell of a machine with a little more memory, as kubelet writes it."""
    content = json.loads(FILE.read_text())
    memory = content["machineState"]["1"]["memoryMap"]["memory"]
    for name in ("total", "systemReserved"):
        memory[name] += ANOTHER_MACHINE
    data = {name: content[name] for name in ("machineState", "entries") if name in content}
    StateFile(FILE, "memory", MemoryManagerPolicy.STATIC).write(data)


def tell_file(moment: str) -> None:
    """Print what is in the file, what was moved aside, and when the unit had done its work."""
    content = json.loads(FILE.read_text()) if FILE.exists() else {}
    unit = properties(UNIT)
    tell(
        "memory state",
        moment=moment,
        file=content.get("machineState"),
        aside=sorted(path.name for path in ROOT.glob(f"{MEMORY_STATE}.*")),
        result=unit["Result"],
        active=unit["ActiveState"],
        ended=unit["ExecMainExitTimestampMonotonic"],
    )
