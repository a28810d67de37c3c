"""The pods of `simulate --reboot` where it is given none."""

from numa_trio.plugin.resource import NumaResource
from numa_trio.settings import BadConfiguration
from numa_trio.simulator.counted_pods import with_counts
from numa_trio.simulator.scenarios import container_for, room_of_nodes
from numa_trio.simulator.trial import Setup
from numa_trio.workloads.pod import Container, ContainerKind, Pod


def reboot_pods(setup: Setup) -> tuple[Pod, ...]:
    """Two bare pods, one of them with an init container, one of a controller, one for no node.

    The one of the controller is for what is near something, if that is offered and on one node.
    Raises `BadConfiguration` if no NUMA node has two CPUs to give away.
    """
    rooms = room_of_nodes(setup.machine, setup.config, setup.offer)
    first, *others = sorted(setup.offer.slots, key=lambda each: -rooms[each])
    if rooms[first] < 2:
        raise BadConfiguration(
            f"--reboot: no NUMA node of {setup.machine.name} has two CPUs that kubelet can give"
            " away; choose another machine, reserve fewer CPUs, or give pods of your own (--pod)"
        )
    second = others[0] if others and rooms[others[0]] else first
    near = next((each for each in setup.offer.near if len(each.numa_nodes) == 1), first)
    pods = (
        Pod("database", (_app(first),)),
        Pod("statefulset/search", (_app(near),)),
        Pod("prepared", (container_for("init", 1, ContainerKind.INIT, second), _app(second))),
        Pod("web", (Container("app"),)),
    )
    return tuple(with_counts(pod, setup.offer) for pod in pods)


def _app(slots: NumaResource) -> Container:
    return container_for("app", 1, ContainerKind.APP, slots)
