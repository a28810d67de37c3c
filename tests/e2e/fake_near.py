"""Names of NUMA_NEAR on a node of the fake cluster: what they stand for, and what is offered."""

import json
from collections.abc import Mapping, Sequence

from attrs import frozen

from e2e.fake_faults import Fault
from e2e.kubectl import Json

# The nodes of each place that a target has there: none if they are not known.
Wiring = Mapping[str, Sequence[tuple[int, ...]]]


def wired(numa_nodes: Mapping[int, frozenset[int]]) -> Wiring:
    """The root disk near the last NUMA node with CPUs, and cards near each."""
    with_cpus = sorted(node for node, cpus in numa_nodes.items() if cpus)
    return {"/": [(with_cpus[-1],)], "pci:*": [(node,) for node in with_cpus]}


@frozen
class FakeNear:
    """The plugin's names. A target without a place is absent.

    `unseen` is why the directories of the host are not seen, if they are not.
    """

    setting: str
    wiring: Wiring
    unseen: str | None
    faults: frozenset[Fault]

    def nodes(self) -> dict[str, tuple[int, ...]]:
        """The NUMA nodes of each name that is offered; none if they are not known."""
        found = {}
        for name, places in self._places().items():
            several = len(places) > 1
            for number, nodes in enumerate(places):
                found[f"{name}-{number}" if several else name] = nodes
        return found

    def topology(self) -> str:
        """The part of `numa-trio topology --output json` that is about names."""
        targets = self._targets()
        verdicts = [_verdict(name, nodes=nodes) for name, nodes in self.nodes().items()]
        for name, places in self._places().items():
            if not places:
                hidden = targets[name].startswith("/") and self.unseen
                verdicts.append(_verdict(name, reason=hidden or f"no {targets[name]} here"))
        return json.dumps({"near": verdicts})

    def _targets(self) -> dict[str, str]:
        entries = (entry.partition("=") for entry in self.setting.split(",") if entry)
        return {name: target for name, _, target in entries}

    def _places(self) -> dict[str, Sequence[tuple[int, ...]]]:
        if Fault.NAMES_IGNORED in self.faults:
            return {}
        found = {name: self.wiring.get(target, ()) for name, target in self._targets().items()}
        if self.unseen or Fault.ROOT_NOT_FOUND in self.faults:
            found |= {name: () for name, target in self._targets().items() if target == "/"}
        return found


def _verdict(name: str, nodes: Sequence[int] = (), reason: str | None = None) -> Json:
    return {
        "name": name,
        "target": f"the target of {name}",
        "nodes": [*nodes],
        "chain": [],
        "advertised": reason is None,
        "reason": reason,
        "notes": [],
    }
