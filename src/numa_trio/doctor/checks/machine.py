"""The machine and its kernel: NUMA nodes, CPUs that are off or isolated, automatic balancing."""

from collections import defaultdict

from numa_trio.doctor.evidence.gather import Evidence
from numa_trio.doctor.evidence.kernel import BALANCING, COMMAND_LINE, CPUS
from numa_trio.doctor.evidence.seen import Missing, Place
from numa_trio.doctor.finding import Check, Remedy, Verdict, fine, note, unknown, warning
from numa_trio.topology.lists import MalformedText, format_list, parse_list

_BOOT = "the kernel's command line (GRUB_CMDLINE_LINUX), and reboot"


def _numa(evidence: Evidence) -> Verdict:
    machine = evidence.machine
    if isinstance(machine, Missing):
        return unknown(machine.reason)
    if not machine.numa_aware:
        argument = evidence.kernel.argument("numa")
        if argument == "off":
            remedy = Remedy(_BOOT, ("# without numa=off",))
            return warning("numa=off: the kernel shows one node", Place(COMMAND_LINE), remedy)
        return note("the kernel knows no NUMA nodes: one node 0, nothing to align to")
    remarks = "".join(f"; {remark.text}" for remark in machine.remarks)
    if len(machine.nodes) == 1:
        return note(f"one NUMA node: every pod is aligned{remarks}")
    nodes = [f"node {n.id}: CPUs {format_list(n.cpus) or 'none'}" for n in machine.nodes]
    return fine("; ".join(nodes) + remarks)


def _sub_numa(evidence: Evidence) -> Verdict:
    machine = evidence.machine
    if isinstance(machine, Missing):
        return unknown(machine.reason)
    sockets = defaultdict(list)
    for node in machine.nodes:
        for socket in evidence.cores.sockets(node.cpus):
            sockets[socket].append(node.id)
    if not sockets:
        return unknown("the kernel does not say which CPUs are in which socket")
    split = {socket: nodes for socket, nodes in sockets.items() if len(nodes) > 1}
    if not split:
        return fine(f"sockets: {len(sockets)}, with one NUMA node each")
    told = "; ".join(f"socket {socket}: nodes {format_list(split[socket])}" for socket in split)
    most = max(len(node.cpus) for node in machine.nodes)
    return note(
        f"several NUMA nodes in a socket ({told}), as by SNC or NPS in the firmware: with"
        f" single-numa-node a container has at most {most} CPUs"
    )


def _offline(evidence: Evidence) -> Verdict:
    present, online = evidence.kernel.present, evidence.kernel.online
    if isinstance(present, Missing) or isinstance(online, Missing):
        return unknown(f"{CPUS}/present or online could not be read")
    offline = present - online
    if not offline:
        return fine(f"all {len(online)} CPUs are online")
    return note(
        f"CPU {format_list(offline)} is offline: kubelet counts the CPUs at its start, and its"
        " state file fits no other number",
        Place(f"{CPUS}/offline"),
    )


def _isolated(evidence: Evidence) -> Verdict:
    isolated = evidence.kernel.isolated
    if isinstance(isolated, Missing):
        return unknown(f"{CPUS}/isolated {isolated.reason}")
    quiet = evidence.kernel.argument("nohz_full")
    if not isolated:
        return fine("no isolated CPUs" + (f"; nohz_full={quiet}" if quiet else ""))
    seen = f"CPU {format_list(isolated)} is isolated (isolcpus)"
    place = Place(COMMAND_LINE)
    reserved = evidence.config.text("reservedSystemCPUs", "").value
    try:
        kept = parse_list(str(reserved))
    except MalformedText:
        kept = frozenset()
    if isolated <= kept:
        return note(f"{seen}, and kept from pods by reservedSystemCPUs", place)
    lines = ("# without isolcpus=, or with isolcpus=managed_irq,… only",)
    return warning(seen, place, Remedy(_BOOT, lines))


def _balancing(evidence: Evidence) -> Verdict:
    mode = evidence.kernel.balancing
    if isinstance(mode, Missing):
        absent = "the kernel has none" if mode.absent else mode.reason
        return fine(f"{BALANCING}: {absent}") if mode.absent else unknown(f"{BALANCING}: {absent}")
    seen = f"kernel.numa_balancing = {mode}"
    if not mode:
        return fine(seen, Place(BALANCING))
    remedy = Remedy(
        "/etc/sysctl.d/90-numa-balancing.conf",
        ("kernel.numa_balancing = 0",),
        "Then `sysctl --system`. It is worth it where all that matters is pinned.",
    )
    return note(seen, Place(BALANCING), remedy)


CHECKS = (
    Check(
        "ND015",
        "NUMA nodes",
        "On one NUMA node there is nothing to align.",
        _numa,
    ),
    Check(
        "ND016",
        "NUMA nodes in a socket",
        "A container that needs more CPUs than a NUMA node has is refused.",
        _sub_numa,
    ),
    Check(
        "ND017",
        "Offline CPUs",
        "With static, kubelet does not start when CPUs have come or gone since its state was"
        " written.",
        _offline,
    ),
    Check(
        "ND018",
        "Isolated CPUs",
        "Kubelet gives isolated CPUs away like others, but the kernel spreads no threads over them:"
        " all of a container's run on one CPU.",
        _isolated,
    ),
    Check(
        "ND019",
        "Automatic NUMA balancing",
        "The kernel unmaps pages to see who uses them. Pods that are pinned with their memory pay"
        " for it and gain nothing.",
        _balancing,
    ),
)
