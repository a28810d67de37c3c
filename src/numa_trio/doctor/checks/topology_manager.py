"""Kubelet's Topology Manager: whether pods that cannot be aligned are refused."""

from numa_trio.doctor.advice import set_in_kubelet
from numa_trio.doctor.checks.policy import default_mark, required_policy
from numa_trio.doctor.evidence.gather import Evidence
from numa_trio.doctor.evidence.host_files import ABSENT
from numa_trio.doctor.evidence.seen import Missing
from numa_trio.doctor.finding import (
    NOT_READ,
    Check,
    Remedy,
    Verdict,
    error,
    fine,
    note,
    unknown,
    warning,
)
from numa_trio.kubelet_limits import ENDLESS_NUMA_NODES, MAX_NUMA_NODES
from numa_trio.plugin.advertising import LARGEST_NODE
from numa_trio.topology.lists import format_list

_ALIGNING = ("single-numa-node", "restricted")
_POLICIES = ("none", "best-effort", *_ALIGNING)
_SCOPES = ("container", "pod")
_OPTION = "max-allowable-numa-nodes"
_OPTIONS = "topologyManagerPolicyOptions"


def _config(evidence: Evidence) -> Verdict:
    config = evidence.config
    distribution = f"{evidence.distribution.name}; "
    if config.problems:
        told = "; ".join(f"{path} {_sentence(why)}" for path, why in config.problems.items())
        if all(_is_hidden(evidence, reason) for reason in config.problems.values()):
            return unknown(f"{distribution}{told} (run as root, on the whole host)")
        remedy = Remedy(next(iter(config.problems)), ("# correct what is named above",))
        return error(f"{distribution}{told}", None, remedy)
    if not config.sources:
        return unknown(f"{distribution}no configuration of kubelet was found")
    running = (
        f"not running: {evidence.process.reason}"
        if isinstance(evidence.process, Missing)
        else f"{evidence.process.name} runs"
    )
    return fine(f"{distribution}{', '.join(config.sources)}; {running}")


def _is_hidden(evidence: Evidence, reason: str) -> bool:
    """Whether it may be as it should, but not for us to see: a kubelet that runs has read it."""
    runs = not isinstance(evidence.process, Missing)
    return "Permission denied" in reason or (runs and reason == ABSENT.reason)


def _sentence(reason: str) -> str:
    return reason if reason.startswith(("is ", "has ", "cannot ")) else f"cannot be read: {reason}"


def _policy(evidence: Evidence) -> Verdict:
    expected = f"one of {', '.join(_POLICIES)}"
    return required_policy(evidence, "topologyManagerPolicy", _POLICIES, _ALIGNING, expected)


def _scope(evidence: Evidence) -> Verdict:
    setting = evidence.config.text("topologyManagerScope", "container")
    seen = f"topologyManagerScope: {setting.value}{default_mark(setting.place)}"
    if setting.value not in _SCOPES:
        remedy = set_in_kubelet(evidence, {"topologyManagerScope": "container"})
        return error(f"{seen}; expected container or pod", setting.place, remedy)
    if setting.place is None and not evidence.config.complete:
        return unknown(NOT_READ)
    if setting.value == "pod":
        return note(
            f"{seen}: containers of a pod that ask for different NUMA nodes are refused",
            setting.place,
        )
    return fine(seen, setting.place)


def _nodes(evidence: Evidence) -> Verdict:
    machine = evidence.machine
    if isinstance(machine, Missing):
        return unknown(machine.reason)
    count = len(machine.nodes)
    policy = evidence.config.text("topologyManagerPolicy", "none").value
    above = [node.id for node in machine.nodes if node.id > LARGEST_NODE]
    most = evidence.config.map(_OPTIONS).get(_OPTION, str(MAX_NUMA_NODES))
    place = evidence.config.place(_OPTIONS)
    seen = f"NUMA nodes: {count}, {_OPTION}: {most}{default_mark(place)}"
    remedy = set_in_kubelet(evidence, {_OPTIONS: {_OPTION: str(max(count, MAX_NUMA_NODES))}})
    if not (isinstance(most, str) and most.isascii() and most.isdigit() and len(most) < 10):
        return error(f"{seen}; expected a whole number in quotes", place, remedy)
    if int(most) < MAX_NUMA_NODES:
        return error(f"{seen}; kubelet allows no less than {MAX_NUMA_NODES}", place, remedy)
    if above and policy != "none":
        return error(
            f"NUMA node {format_list(above)}: kubelet knows the numbers 0 to {LARGEST_NODE}"
        )
    if count > int(most) and policy != "none":
        return error(f"{seen}: kubelet does not start", place, remedy)
    if count > int(most):
        return warning(f"{seen}: with a policy that aligns, kubelet would not start", place, remedy)
    return fine(seen, place)


def _cpuless(evidence: Evidence) -> Verdict:
    machine = evidence.machine
    if isinstance(machine, Missing):
        return unknown(machine.reason)
    without = [node.id for node in machine.nodes if node.cpus_known and not node.has_cpus]
    if not without:
        return fine("all NUMA nodes have CPUs")
    seen = f"NUMA node {format_list(without)} of {len(machine.nodes)} nodes has no CPUs"
    aligns = evidence.config.text("topologyManagerPolicy", "none").value in _ALIGNING
    if len(machine.nodes) > ENDLESS_NUMA_NODES and aligns:
        lines = (
            "# have firmware or driver show fewer NUMA nodes, as without one for each GPU part",
        )
        return error(
            f"{seen}: kubelet tries every set of them, for ever from about"
            f" {ENDLESS_NUMA_NODES} nodes on",
            None,
            Remedy("the machine", lines),
        )
    return note(f"{seen}: no pod with pinned CPUs is admitted there, and none is advertised")


CHECKS = (
    Check(
        "ND001",
        "Kubelet's configuration",
        "The other checks follow from it. A file that kubelet cannot read keeps it from starting.",
        _config,
    ),
    Check(
        "ND002",
        "Topology Manager policy",
        "Only single-numa-node and restricted refuse a pod whose CPUs, memory and slot are not on"
        " one NUMA node; with the others it runs anywhere.",
        _policy,
    ),
    Check(
        "ND003",
        "Topology Manager scope",
        "With the scope pod, all containers of a pod must be on one NUMA node.",
        _scope,
    ),
    Check(
        "ND004",
        "Number of NUMA nodes",
        "With a Topology Manager policy, kubelet starts on no more NUMA nodes than it is allowed.",
        _nodes,
    ),
    Check(
        "ND005",
        "NUMA nodes without CPUs",
        "Kubelet merges hints over every set of NUMA nodes, those without CPUs too: with many, an"
        " admission takes for ever (kubernetes#135541).",
        _cpuless,
    ),
)
