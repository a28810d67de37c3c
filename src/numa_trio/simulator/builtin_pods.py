"""The pods that `simulate` runs where it is given none: the examples, and some for any machine."""

from fractions import Fraction
from importlib.resources import files

from numa_trio.plugin.resource import NEAR, NumaResource
from numa_trio.simulator.counted_pods import with_counts
from numa_trio.simulator.cpus import SimulatedMachine
from numa_trio.simulator.ideal import Offer
from numa_trio.workloads.manifest import load_manifests
from numa_trio.workloads.pod import Container, Pod, Resources
from numa_trio.workloads.quantity import parse_quantity

_NEAR = f"/{NEAR}"
_MEMORY = parse_quantity("64Mi")


def builtin_pods(machine: SimulatedMachine, offer: Offer) -> tuple[Pod, ...]:
    """A pod for each resource, the examples, and some that ask for what cannot be had.

    The latter ask for half a CPU, for more CPUs than a node has, and for two nodes at once. All
    have the counts that they need, where there is something counted. An example that asks for what
    is near something is among them only where that is offered.
    """
    folder = files("numa_trio.simulator") / "examples"
    found = [each for each in folder.iterdir() if each.name.endswith(".yaml")]
    manifests = load_manifests(sorted(found, key=lambda each: each.name))
    examples = [pod for pod in manifests.pods if _has_all_it_is_near(pod, offer)]
    each_one = [_pod(f"on-{each.local_name}", Fraction(1), each) for each in offer.all_slots]
    first, last = offer.slots[0], offer.slots[-1]
    cpus_of_last = sum(cpu.node in last.numa_nodes for cpu in machine.cpus)
    odd = [
        _pod("half-a-cpu", Fraction(1, 2), last),
        _pod("too-many-cpus", Fraction(cpus_of_last + 1), last),
    ]
    if not {*first.numa_nodes} & {*last.numa_nodes}:
        odd.append(_pod("two-nodes", Fraction(1), first, last))
    return tuple(with_counts(pod, offer) for pod in (*each_one, *examples, *odd))


def _has_all_it_is_near(pod: Pod, offer: Offer) -> bool:
    asked = {name for container in pod.containers for name in container.devices}
    offered = {each.name for each in offer.near}
    return all(name in offered for name in asked if _NEAR in name)


def _pod(name: str, cpus: Fraction, *resources: NumaResource) -> Pod:
    amounts = {"cpu": cpus, "memory": _MEMORY, **{each.name: Fraction(1) for each in resources}}
    return Pod(name, (Container("app", Resources(amounts, amounts)),))
