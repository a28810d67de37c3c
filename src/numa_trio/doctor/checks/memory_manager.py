"""Kubelet's Memory Manager: whether memory is bound, and whether kubelet starts with it."""

from fractions import Fraction

from numa_trio.doctor.advice import Value, amount, delete_state, set_in_kubelet, shares
from numa_trio.doctor.checks.policy import default_mark
from numa_trio.doctor.checks.state_file import state_policy
from numa_trio.doctor.evidence.gather import Evidence
from numa_trio.doctor.evidence.reservations import ReservedMemory, Unusable, read_reserved_memory
from numa_trio.doctor.evidence.seen import Missing
from numa_trio.doctor.evidence.state_files import MemoryState
from numa_trio.doctor.finding import NOT_READ, Check, Remedy, Verdict, error, fine, note, unknown
from numa_trio.topology.lists import format_list
from numa_trio.topology.machine import Machine
from numa_trio.workloads.quantity import binary

_POLICIES = ("None", "Static", "BestEffort")
_GIB = 1 << 30


def _policy(evidence: Evidence) -> Verdict:
    setting = evidence.config.text("memoryManagerPolicy", "None")
    seen = f"memoryManagerPolicy: {setting.value}{default_mark(setting.place)}"
    if setting.value == "Static":
        return fine(seen, setting.place)
    if setting.value not in _POLICIES:
        expected = f"{seen}; expected None or Static, with a capital letter"
        remedy = set_in_kubelet(evidence, {"memoryManagerPolicy": "Static"}, new_state=True)
        return error(expected, setting.place, remedy)
    if setting.place is None and not evidence.config.complete:
        return unknown(NOT_READ)
    return note(f"{seen}: CPUs are pinned, memory comes from their node by habit", setting.place)


def _sum(evidence: Evidence) -> Verdict:
    static = evidence.config.text("memoryManagerPolicy", "None").value == "Static"
    place = evidence.config.place("reservedMemory", "systemReserved")
    if not evidence.config.complete:
        return unknown(NOT_READ)
    try:
        reserved = read_reserved_memory(evidence.config, evidence.kernel.memory)
    except Unusable as problem:
        # A percentage of a memory that could not be seen is no mistake of the file's.
        if "not known" in str(problem):
            return unknown(str(problem), place)
        key = str(problem).partition(":")[0].partition(".")[0].partition("[")[0]
        return error(str(problem), evidence.config.place(key))
    wrong = [kind for kind in reserved.kinds if reserved.given(kind) != reserved.needed(kind)]
    seen = "; ".join(_account(reserved, kind) for kind in wrong or ["memory"])
    if not static:
        return fine(f"not needed without the policy Static ({seen})", place)
    strays = _strays(evidence, reserved)
    remedy = _right_lines(evidence, reserved)
    if strays:
        return error(f"NUMA node {format_list(strays)} does not exist", place, remedy)
    if wrong:
        return error(f"{seen}: kubelet does not start", place, remedy)
    if not reserved.needed("memory"):
        return error("no memory is reserved: kubelet does not start with Static", place, remedy)
    return fine(seen, place)


def _account(reserved: ReservedMemory, kind: str) -> str:
    """The sum and its terms, to the byte where they differ."""
    zero = Fraction()
    terms = f"kubeReserved {_size(reserved.kube.get(kind, zero))} + systemReserved " + _size(
        reserved.system.get(kind, zero)
    )
    if kind == "memory":
        terms += f" + evictionHard {_size(reserved.eviction)}"
    given, needed = reserved.given(kind), reserved.needed(kind)
    name = "" if kind == "memory" else f" of {kind}"
    if given == needed:
        return f"reservedMemory{name} is {_size(given)} = {terms}"
    differs = given - needed
    too = "more" if differs > 0 else "less"
    return (
        f"reservedMemory{name} is {_size(given)} ({given} bytes), {abs(differs)} bytes {too} than"
        f" {terms} = {_size(needed)} ({needed} bytes)"
    )


def _size(size: Fraction) -> str:
    return amount(size)


def _strays(evidence: Evidence, reserved: ReservedMemory) -> set[int]:
    machine = evidence.machine
    if isinstance(machine, Missing):
        return set()
    return {node for node, _ in reserved.of_nodes} - {node.id for node in machine.nodes}


def _right_lines(evidence: Evidence, reserved: ReservedMemory) -> Remedy | None:
    """The settings with which the sum is right, with as much for each node as there is of it."""
    machine = evidence.machine
    if isinstance(machine, Missing):
        return None
    nodes = [node.id for node in machine.nodes if node.has_cpus and node.has_memory]
    totals = {kind: reserved.needed(kind) for kind in reserved.kinds}
    if not nodes or any(total.denominator != 1 for total in totals.values()):
        return None
    if not totals["memory"]:
        held = {k: str(v) for k, v in evidence.config.map("systemReserved").items()}
        system = {**held, "memory": binary(_GIB)}
        memory = shares(_GIB, nodes, "memory")
        values: dict[str, Value] = {"systemReserved": system, "reservedMemory": memory}
        return set_in_kubelet(evidence, values, new_state=True)
    entries = [each for kind in totals for each in shares(int(totals[kind]), nodes, kind)]
    return set_in_kubelet(evidence, {"reservedMemory": entries}, new_state=True)


def _state_policy(evidence: Evidence) -> Verdict:
    state = evidence.memory_state
    return state_policy(evidence, state, "memory_manager_state", "memoryManagerPolicy", "None")


def _state_totals(evidence: Evidence) -> Verdict:
    state, machine = evidence.memory_state, evidence.machine
    if isinstance(state, Missing) or isinstance(machine, Missing):
        return unknown("the state file or the machine could not be read")
    if state.policy == "None" or not state.nodes:
        return fine(f"{state.path}: no memory in it")
    told = [*_differences(state, machine), *_other_reservation(evidence, state)]
    if not told:
        return fine(f"{state.path}: its totals are those of the machine")
    seen = f"{'; '.join(told)}: kubelet does not start with {state.path}"
    return error(seen, None, delete_state(evidence, state.path))


def _differences(state: MemoryState, machine: Machine) -> list[str]:
    """Each total that is not the machine's, which has one for each kind of each node."""
    now = {
        (node.id, kind): total
        for node in machine.nodes
        for kind, total in {
            "memory": node.memory_bytes or 0,
            **{
                f"hugepages-{binary(h.size_bytes)}": h.size_bytes * h.total for h in node.huge_pages
            },
        }.items()
    }
    told = []
    for node, kind in sorted({*now, *state.totals}):
        recorded, there = state.totals.get((node, kind)), now.get((node, kind))
        if recorded != there:
            by = "" if None in (recorded, there) else f" ({(there or 0) - (recorded or 0):+d})"
            told.append(
                f"NUMA node {node}, {kind}: recorded {_bytes(recorded)}, now {_bytes(there)}{by}"
            )
    return told


def _bytes(size: int | None) -> str:
    return "nothing" if size is None else f"{size} bytes"


def _other_reservation(evidence: Evidence, state: MemoryState) -> list[str]:
    try:
        reserved = read_reserved_memory(evidence.config, evidence.kernel.memory).of_nodes
    except Unusable:
        return []
    if not evidence.config.complete:
        return []
    return [
        f"NUMA node {node}, {kind}: recorded {before} bytes reserved, configured"
        f" {reserved.get((node, kind), Fraction())}"
        for (node, kind), before in sorted(state.reserved.items())
        if before != reserved.get((node, kind), Fraction())
    ]


CHECKS = (
    Check(
        "ND011",
        "Memory Manager policy",
        "Only Static binds a container's memory to its NUMA node; it is optional.",
        _policy,
    ),
    Check(
        "ND012",
        "Reserved memory",
        "With Static, kubelet starts only if reservedMemory of all NUMA nodes adds up to"
        " kubeReserved + systemReserved + the hard eviction threshold, to the byte.",
        _sum,
    ),
    Check(
        "ND013",
        "Memory Manager state: policy",
        "Kubelet does not start with the state file of another policy.",
        _state_policy,
    ),
    Check(
        "ND014",
        "Memory Manager state: totals",
        "With Static, the memory in the state file must be that of the machine, to the byte; after"
        " a reboot it often is not (kubernetes#131253).",
        _state_totals,
    ),
)
