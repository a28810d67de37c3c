"""Which containers have been tried before: one whose creation fails is made again by kubelet.

Nobody tells a plugin that a creation failed. Two plugins that set one field make it fail, and would
do so each time.
"""

from collections import OrderedDict

from attrs import define, field

from numa_trio.runtime.messages import Container, Pod

_RESTARTS = "io.kubernetes.container.restartCount"

_MOST = 4096  # containers that are remembered

_Attempt = tuple[str, str, str]


@define(eq=False)
class Attempts:
    """Remembers each container that was given something when it was created."""

    _tries: OrderedDict[_Attempt, int] = field(init=False, factory=OrderedDict)

    def withhold(self, pod: Pod, container: Container) -> bool:
        """Whether this try is to be made without us: every second one of the same container.

        Kubelet counts a container's restarts, but not the tries to create it. If the second fails
        too, it was not for us.
        """
        attempt = _attempt(pod, container)
        if attempt is None:
            return False
        tries = self._tries.pop(attempt, 0) + 1
        self._tries[attempt] = tries
        if len(self._tries) > _MOST:
            self._tries.popitem(last=False)
        return tries % 2 == 0

    def withheld(self, pod: Pod, container: Container) -> bool:
        """Whether the container was made without us the last time."""
        attempt = _attempt(pod, container)
        return attempt is not None and self._tries.get(attempt, 1) % 2 == 0

    def forget(self, pod: Pod, container: Container) -> None:
        """It was made, and may be given what it is due."""
        if attempt := _attempt(pod, container):
            self._tries.pop(attempt, None)


def _attempt(pod: Pod, container: Container) -> _Attempt | None:
    restarts = container.annotations.get(_RESTARTS)
    return None if restarts is None else (pod.id, container.name, restarts)
