"""What kubelet does with the pods that were there before it: after its start, and after a reboot.

Source: HandlePodAdditions of pkg/kubelet/kubelet.go in Kubernetes 1.36. The API server tells it of
all pods at once, and it admits them in one go, in the order of their creation. Each is then left to
a worker, which needs seconds until its first container runs. So a device plugin that is a pod
itself cannot be there when the others are admitted after a reboot.
"""

from numa_trio.simulator.admission import Verdict, admit_again
from numa_trio.simulator.events import EventKind, EventLog
from numa_trio.simulator.node import Node
from numa_trio.simulator.plugin_connections import PluginConnections


async def admit_known_pods(
    node: Node, connections: PluginConnections, log: EventLog
) -> list[Verdict]:
    """Admit them all again, then start the containers of those that a reboot had ended."""
    pods, down = tuple(node.pods.values()), frozenset(node.down)
    verdicts = await admit_again(node, pods, connections)
    for verdict in verdicts:
        kind = _kind(admitted=verdict.admitted, ran=verdict.pod.uid not in down)
        log.record(kind, verdict.pod.name, verdict.message or "")
    for verdict in verdicts:
        if verdict.admitted and verdict.pod.uid in down:
            await connections.start_containers(verdict)
            node.started(verdict.pod)
    return verdicts


def _kind(*, admitted: bool, ran: bool) -> EventKind:
    if ran:
        return EventKind.ADMITTED_AGAIN if admitted else EventKind.KILLED
    return EventKind.ADMITTED if admitted else EventKind.REJECTED
