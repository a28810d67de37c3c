"""Kubelet's CPU Manager: whether containers get CPUs of their own, and whether it starts."""

from fractions import Fraction

from numa_trio.doctor.advice import delete_state, set_in_kubelet
from numa_trio.doctor.checks.policy import required_policy
from numa_trio.doctor.checks.state_file import state_policy
from numa_trio.doctor.evidence.gather import Evidence
from numa_trio.doctor.evidence.reservations import Unusable, reserved_cpus
from numa_trio.doctor.evidence.seen import Missing
from numa_trio.doctor.finding import NOT_READ, Check, Verdict, error, fine, note, unknown, warning
from numa_trio.topology.lists import MalformedText, format_list, parse_list
from numa_trio.workloads.quantity import decimal

_LISTED = "reservedSystemCPUs"
_KEYS = (_LISTED, "systemReserved", "kubeReserved")


def _policy(evidence: Evidence) -> Verdict:
    known = ("none", "static")
    return required_policy(evidence, "cpuManagerPolicy", known, ("static",), "none or static")


def _reservation(evidence: Evidence) -> Verdict:
    place = evidence.config.place(*_KEYS)
    if evidence.config.text(_LISTED, "").value:
        return _listed(evidence)
    remedy = set_in_kubelet(
        evidence, {"systemReserved": {"cpu": "1", **_memory(evidence)}}, new_state=True
    )
    try:
        reserved = reserved_cpus(evidence.config)
    except Unusable as problem:
        return error(str(problem), place, remedy)
    assert isinstance(reserved, Fraction)
    seen = f"{decimal(reserved)} CPU reserved (systemReserved and kubeReserved together)"
    if reserved > 0:
        return fine(seen, place)
    if not evidence.config.complete:
        return unknown(NOT_READ)
    if evidence.config.text("cpuManagerPolicy", "none").value == "static":
        return error(f"{seen}: kubelet does not start with the policy static", place, remedy)
    return note(f"{seen}; the policy static needs more than 0", place, remedy)


def _listed(evidence: Evidence) -> Verdict:
    """Of reservedSystemCPUs, which counts instead of the amounts."""
    setting = evidence.config.text(_LISTED, "")
    online = _online(evidence)
    first = format_list(sorted(online)[:1])
    try:
        cpus = parse_list(str(setting.value))
    except MalformedText as problem:
        remedy = set_in_kubelet(evidence, {_LISTED: first}, new_state=True)
        return error(f"{_LISTED} {problem}", setting.place, remedy)
    seen = f"{_LISTED}: {format_list(cpus)}"
    if not online or cpus <= online:
        return fine(seen, setting.place)
    right = format_list(cpus & online) or first
    remedy = set_in_kubelet(evidence, {_LISTED: right}, new_state=True)
    return error(f"{seen}; CPU {format_list(cpus - online)} is not online", setting.place, remedy)


def _memory(evidence: Evidence) -> dict[str, str]:
    """What systemReserved already holds beside CPU, which the line to write must keep."""
    held = evidence.config.map("systemReserved")
    return {name: str(value) for name, value in held.items() if name != "cpu"}


def _online(evidence: Evidence) -> frozenset[int]:
    """The machine's CPUs; none where they could not be read."""
    return frozenset() if isinstance(evidence.machine, Missing) else evidence.machine.cpus


def _state_policy(evidence: Evidence) -> Verdict:
    state = evidence.cpu_state
    return state_policy(evidence, state, "cpu_manager_state", "cpuManagerPolicy", "none")


def _state_cpus(evidence: Evidence) -> Verdict:
    state, machine = evidence.cpu_state, evidence.machine
    if isinstance(state, Missing) or isinstance(machine, Missing):
        return unknown("the state file or the machine could not be read")
    if state.policy != "static" or not (state.shared | state.exclusive):
        return fine(f"{state.path}: no CPUs in it")
    online = _online(evidence)
    there = state.shared | state.exclusive
    options = evidence.config.map("cpuManagerPolicyOptions")
    if options.get("strict-cpu-reservation") == "true":
        there |= _reserved(evidence, online)
    elif taken := _reserved(evidence, frozenset()) & state.exclusive:
        seen = f"{state.path}: a container has CPU {format_list(taken)}, which is now reserved"
        return error(
            f"{seen}: kubelet does not start with it",
            evidence.config.place(*_KEYS),
            delete_state(evidence, state.path),
        )
    if there == online:
        return fine(f"{state.path}: CPUs {format_list(there)}, as the machine has")
    gone, new = there - online, online - there
    told = [f"CPU {format_list(gone)} is gone"] if gone else []
    told += [f"CPU {format_list(new)} is new"] if new else []
    return error(
        f"{state.path}: {' and '.join(told)}: kubelet does not start with it",
        None,
        delete_state(evidence, state.path),
    )


def _reserved(evidence: Evidence, otherwise: frozenset[int]) -> frozenset[int]:
    """The CPUs of reservedSystemCPUs; else, where kubelet chooses them itself, `otherwise`."""
    try:
        reserved = reserved_cpus(evidence.config)
        return parse_list(reserved) if isinstance(reserved, str) else otherwise
    except (Unusable, MalformedText):
        return otherwise


def _running(evidence: Evidence) -> Verdict:
    given = evidence.observed.allocatable
    if isinstance(given, Missing):
        return unknown(given.reason)
    config = evidence.config
    cpus = "no CPUs" if not given.cpus else f"CPUs {format_list(given.cpus)}"
    nodes = format_list(given.memory_nodes)
    memory = f"memory of NUMA node {nodes}" if nodes else "no memory"
    seen = f"kubelet gives away {cpus} and {memory} exclusively"
    expected = [
        (config.text("cpuManagerPolicy", "none").value == "static", bool(given.cpus), "CPU"),
        (config.text("memoryManagerPolicy", "None").value == "Static", bool(nodes), "Memory"),
    ]
    for configured, runs, name in expected:
        if configured and not runs:
            return warning(
                f"{seen}: its {name} Manager does not run with the configured policy;"
                " restart kubelet, or look for another file of settings"
            )
    return fine(seen)


CHECKS = (
    Check(
        "ND006",
        "CPU Manager policy",
        "Only static gives containers CPUs of their own, of the NUMA node that they ask for.",
        _policy,
    ),
    Check(
        "ND007",
        "Reserved CPUs",
        "With the policy static, kubelet does not start unless CPU is reserved for the system.",
        _reservation,
    ),
    Check(
        "ND008",
        "CPU Manager state: policy",
        "Kubelet does not start with the state file of another policy.",
        _state_policy,
    ),
    Check(
        "ND009",
        "CPU Manager state: CPUs",
        "With static, the CPUs in the state file must be those of the machine.",
        _state_cpus,
    ),
    Check(
        "ND010",
        "What the running kubelet gives away",
        "Settings count from kubelet's start on: a file that was changed since says nothing yet.",
        _running,
    ),
)
