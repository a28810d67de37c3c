"""Kubelet's device-plugin directory, its socket, and the agent that serves there."""

from numa_trio.doctor.advice import start_kubelet
from numa_trio.doctor.evidence.gather import Evidence
from numa_trio.doctor.evidence.observations import DIRECTORY
from numa_trio.doctor.evidence.readyz import READY
from numa_trio.doctor.evidence.seen import Missing, Place
from numa_trio.doctor.finding import Check, Remedy, Verdict, error, fine, note, unknown, warning
from numa_trio.kubelet.directory import KUBELET_SOCKET

_WRITABLE_BY_ALL = 0o002
_SOCKET = f"{DIRECTORY}/{KUBELET_SOCKET}"
_LONGEST = 200  # characters of what the agent says


def _kubelet(evidence: Evidence) -> Verdict:
    alive = evidence.observed.kubelet
    place = Place(_SOCKET)
    remedy = start_kubelet(evidence)
    if isinstance(alive, Missing):
        if alive.absent and not isinstance(evidence.process, Missing):
            return error(f"{alive.reason}, though kubelet runs", place, remedy)
        return unknown(alive.reason, place)
    if alive:
        return fine(f"kubelet listens on {_SOCKET}", place)
    return error(f"nobody listens on {_SOCKET}: kubelet does not run", place, remedy)


def _directory(evidence: Evidence) -> Verdict:
    mode = evidence.observed.mode
    place = Place(DIRECTORY)
    if isinstance(mode, Missing):
        return unknown(mode.reason, place)
    seen = f"{DIRECTORY}: mode {mode:04o}"
    if mode & _WRITABLE_BY_ALL:
        remedy = Remedy("a shell on the node", (f"chmod 0750 {DIRECTORY}",))
        return warning(f"{seen}: whoever has an account can offer devices", place, remedy)
    return fine(seen, place)


def _agent(evidence: Evidence) -> Verdict:
    answer, sockets = evidence.observed.agent, evidence.observed.sockets
    served = f"{len(sockets)} sockets of an agent in {DIRECTORY}"
    if isinstance(answer, Missing):
        if sockets:
            return note(f"{served}; {answer.reason}")
        return unknown(f"no socket of an agent in {DIRECTORY}; {answer.reason}")
    first = answer.text.strip().partition("\n")[0][:_LONGEST]
    if answer.status == READY:
        return fine(f"/readyz: {first}")
    lines = ("kubectl logs -n kube-system -l app=numa-resource-plugin --tail=-1",)
    return error(f"/readyz: status {answer.status}: {first}", None, Remedy("kubectl", lines))


CHECKS = (
    Check(
        "ND020",
        "Kubelet's socket",
        "The agent registers there. A socket on which nobody listens is left of a kubelet that has"
        " ended.",
        _kubelet,
    ),
    Check(
        "ND021",
        "Rights of the device-plugin directory",
        "Whoever can write there can register a device plugin.",
        _directory,
    ),
    Check(
        "ND022",
        "The agent",
        "Only while it is ready does the node offer its NUMA nodes.",
        _agent,
    ),
)
