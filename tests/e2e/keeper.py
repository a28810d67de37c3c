"""Pods that run while kubelet restarts, and have to live on."""

from attrs import frozen

from e2e.cluster import Cluster, Machine, Outcome
from e2e.pods import Probe
from e2e.verdicts import Finding, ran, ran_on, skip


def keeper_probes(machine: Machine) -> list[Probe]:
    """The containers of a pod on a NUMA node, and of one for a name, if any is offered."""
    names = [Probe("keeper", near=(name.name,)) for name in machine.near.offered]
    return [Probe("keeper", (max(machine.advertised, default=0),)), *names[:1]]


@frozen
class Keeper:
    """A pod with an init container, and what became of it before the restart."""

    name: str
    probe: Probe
    started: Outcome

    @property
    def what(self) -> str:
        """What it is in the table."""
        near = "".join(f" near {name}" for name in self.probe.near)
        return f"pod{near} with an init container"

    def lives_on(self, cluster: Cluster) -> Finding:
        """It runs still; skipped if it did not run."""
        if self.started.state.phase != "Running":
            before = ran(self.started.state, self.started.denied)
            return skip(f"it did not run before: {before.seen}")
        return ran_on(cluster.pod_state(self.name))
