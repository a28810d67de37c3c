"""Which containers have been tried before: one whose creation fails is made again by kubelet.

Nobody tells a plugin that a creation failed. Two plugins that set one field make it fail, and would
do so each time.
"""

from collections import OrderedDict

from attrs import define, field

from numa_trio.runtime.messages import NO_CPU_SET, Container, CpuSet, Pod

_RESTARTS = "io.kubernetes.container.restartCount"

_MOST = 4096  # containers that are remembered

# A creation may fail once for whatever reason. If it does at so many restarts, it is due to us.
_MOST_FAILED = 2

_Name = tuple[str, str]


@define
class _Tries:
    """What is known of a container: at which restart it was tried how often.

    The last try may have been made `without_us`. `shown` is what the container had before us, as
    far as is known; at so many restarts its creation has `failed`.
    """

    restarts: str
    count: int = 0
    without_us: bool = False
    failed: int = 0
    shown: CpuSet = NO_CPU_SET
    others: bool = False  # another plugin has set its CPUs or memory


@define(eq=False)
class Attempts:
    """Remembers each container that was given something when it was created."""

    _known: OrderedDict[_Name, _Tries] = field(init=False, factory=OrderedDict)

    def withhold(self, pod: Pod, container: Container) -> bool:
        """Whether this try is to be made without us.

        Kubelet counts a container's restarts, but not the tries to create it. Every second try of
        one restart is: if that fails too, it was not for us. All are of one that another plugin is
        known to have set something of.
        """
        restarts = container.annotations.get(_RESTARTS)
        if restarts is None:
            return False
        tries = self._known.pop((pod.id, container.name), None) or _Tries(restarts)
        if tries.restarts != restarts:
            tries.restarts, tries.count = restarts, 0
        tries.count += 1
        tries.failed += tries.count == 2
        tries.shown = container.cpu_set
        tries.without_us = tries.others or tries.count % 2 == 0
        self._known[pod.id, container.name] = tries
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        return tries.without_us

    def withheld(self, pod: Pod, container: Container) -> bool:
        """Whether the container was made without us the last time."""
        tries = self._known.get((pod.id, container.name))
        return tries is not None and tries.without_us

    def asked(self, pod: Pod, container: Container, asked: CpuSet) -> None:
        """It is about to have these, which are not ours."""
        if tries := self._known.get((pod.id, container.name)):
            tries.shown = CpuSet(asked.cpus or tries.shown.cpus, asked.mems or tries.shown.mems)

    def is_free(self, pod: Pod, container: Container, due: CpuSet) -> bool:
        """Whether it may be given what is `due`, though it was made without us the last time.

        Not if a plugin after us has set that: then it has other CPUs or memory than it had before
        us. What it had may be a plugin's before us, too: then its creation fails at each restart.
        """
        tries = self._known.get((pod.id, container.name))
        if tries is None:
            return True
        has, shown = _parts(container.cpu_set, due), _parts(tries.shown, due)
        return not has or (has == shown and tries.failed < _MOST_FAILED)

    def leave_to_others(self, pod: Pod, container: Container) -> None:
        """Another plugin has set its CPUs or memory, and will do so again."""
        if tries := self._known.get((pod.id, container.name)):
            tries.others = True

    def forget(self, pod: Pod, container: Container) -> None:
        """It was made, and may be given what it is due."""
        if tries := self._known.get((pod.id, container.name)):
            tries.count, tries.without_us, tries.others = 0, False, False


def _parts(cpu_set: CpuSet, due: CpuSet) -> CpuSet:
    """What of it is due."""
    return CpuSet(cpu_set.cpus if due.cpus else "", cpu_set.mems if due.mems else "")
