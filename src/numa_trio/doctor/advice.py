"""The lines to write, in the place and form of the host's distribution."""

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from fractions import Fraction

from attrs import frozen

from numa_trio.doctor.evidence.distribution import Distribution, Name
from numa_trio.doctor.evidence.gather import Evidence
from numa_trio.doctor.evidence.setting_forms import BY_KEY, Form
from numa_trio.doctor.finding import Remedy
from numa_trio.workloads.quantity import binary


@frozen
class NodeMemory:
    """Memory to reserve on a NUMA node: a kind, and bytes."""

    node: int
    kind: str
    size: int


Value = str | Mapping[str, str] | Sequence[NodeMemory]


def set_in_kubelet(
    evidence: Evidence, values: Mapping[str, Value], *, new_state: bool = False
) -> Remedy:
    """Give kubelet these settings, by their keys; `new_state`: its state files hold them too."""
    distribution = evidence.distribution
    lines = [*(_flags(values) if distribution.writes_flags else _yaml(values))]
    if distribution.name in {Name.RKE2, Name.K3S}:
        # A second kubelet-arg in the file would be an error.
        list_is_there = distribution.edit in evidence.config.sources
        head = "kubelet-arg: # in the list that is there" if list_is_there else "kubelet-arg:"
        lines = [head, *(f'  - "{line.removeprefix("--")}"' for line in lines)]
    lines += _in_the_way(evidence, values)
    then = begin_anew(evidence) if new_state else restart(distribution)
    return Remedy(_edited(evidence), tuple(lines), then)


def _edited(evidence: Evidence) -> str:
    """What a person edits: of a kubelet that is its own service, the file that it was given."""
    own = evidence.distribution.name in {Name.KUBEADM, Name.PLAIN}
    return (evidence.config.file if own else "") or evidence.distribution.edit


def restart(distribution: Distribution) -> str:
    """How kubelet takes up a setting."""
    return distribution.then or f"Then `{distribution.stop}`, `{distribution.start}`."


def begin_anew(evidence: Evidence) -> str:
    """How kubelet takes up what its state files do not agree with: a policy, a reservation."""
    files = "cpu_manager_state and memory_manager_state"
    return evidence.distribution.then or (
        f"Drain the node, `{evidence.distribution.stop}`, delete {files} in"
        f" {evidence.config.root}, `{evidence.distribution.start}`."
    )


def start_kubelet(evidence: Evidence) -> Remedy:
    """Start a kubelet that does not run."""
    distribution = evidence.distribution
    log = f"docs/distributions/{distribution.name.lower()}.md says where its log is."
    page = "" if distribution.name is Name.PLAIN else f" {log}"
    where = "talosctl" if distribution.name is Name.TALOS else "a shell on the node"
    return Remedy(where, (distribution.start,), f"Its log says why it ended.{page}")


def delete_state(evidence: Evidence, path: str) -> Remedy:
    """Delete a state file, on a node without pods."""
    distribution = evidence.distribution
    remove = f"rm {shlex.quote(path)}"  # the path may be a stranger's, in a capture
    if distribution.name is Name.TALOS:
        return Remedy("a pod that mounts the directory", (remove,), distribution.then)
    lines = (distribution.stop, remove, distribution.start)
    return Remedy("a shell on the node", lines, "Drain the node before; uncordon it after.")


def _in_the_way(evidence: Evidence, values: Mapping[str, Value]) -> Iterator[str]:
    """Flags that would override what is written to kubelet's file."""
    for key in () if evidence.distribution.writes_flags else values:
        found = evidence.config.settings.get(key)
        if found is not None and found.flag:
            yield f"# and take --{BY_KEY[key].flag} out of {found.place}: it overrides the file"


def _yaml(values: Mapping[str, Value]) -> Iterator[str]:
    for key, value in values.items():
        if isinstance(value, str):
            # A list of CPUs may look like a number.
            yield f"{key}: {value if value[:1].isalpha() else json.dumps(value)}"
        elif isinstance(value, Mapping):
            yield f"{key}:"
            yield from (f"  {name}: {json.dumps(text)}" for name, text in value.items())
        else:
            yield f"{key}:"
            for node in sorted({each.node for each in value}):
                yield f"  - numaNode: {node}"
                yield "    limits:"
                own = (each for each in value if each.node == node)
                yield from (f"      {each.kind}: {amount(each.size)}" for each in own)


def _flags(values: Mapping[str, Value]) -> Iterator[str]:
    for key, value in values.items():
        known = BY_KEY[key]
        if isinstance(value, str):
            text = value
        elif isinstance(value, Mapping):
            sign = "<" if known.form is Form.THRESHOLDS else "="
            text = ",".join(f"{name}{sign}{each}" for name, each in value.items())
        else:
            nodes = sorted({each.node for each in value})
            text = ";".join(
                f"{node}:" + ",".join(f"{e.kind}={amount(e.size)}" for e in value if e.node == node)
                for node in nodes
            )
        yield f"--{known.flag}={text}"


def amount(size: int | Fraction) -> str:
    """Bytes as in a setting, exactly: in the largest unit that leaves a whole number."""
    return binary(int(size)) if size and size == int(size) else str(size)


def shares(total: int, nodes: Sequence[int], kind: str) -> list[NodeMemory]:
    """A total divided among nodes: equal parts in whole MiB, what is left over on the first."""
    part = total // len(nodes) // (1 << 20) * (1 << 20)
    first = total - part * (len(nodes) - 1)
    sizes = [first, *[part] * (len(nodes) - 1)]
    return [NodeMemory(node, kind, size) for node, size in zip(nodes, sizes, strict=True) if size]
