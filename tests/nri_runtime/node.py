"""What runs on the runtime's node: its pods, its containers, and what their cgroups take."""

from typing import Any

from attrs import define, evolve, field

from nri_runtime.cri import Container, Pod, Resources, State


class UpdateFailed(Exception):
    """Resources could not be given to a container."""


def numbers(text: str) -> set[int]:
    """Those of a list as in cpuset.cpus; raises ValueError."""
    ranges = [entry.partition("-") for entry in text.split(",") if entry]
    return {
        number for first, _, last in ranges for number in range(int(first), int(last or first) + 1)
    }


@define(eq=False)
class Node:
    """`cpus` and `mems` are what it has; the containers in `stubborn` cannot be changed."""

    cpus: str
    mems: str
    pods: dict[str, Pod] = field(factory=dict)
    containers: dict[str, Container] = field(factory=dict)
    stubborn: set[str] = field(factory=set)
    applied: list[tuple[str, Resources]] = field(factory=list)

    def check(self, resources: Resources) -> None:
        """Raise `UpdateFailed` if the kernel would not take these."""
        for name in ("cpus", "mems"):
            asked, there = getattr(resources, name), getattr(self, name)
            try:
                possible = numbers(asked) <= numbers(there)
            except ValueError:
                possible = False
            if not possible:
                raise UpdateFailed(f"cpuset.{name}: {asked!r} of {there!r}: invalid argument")

    def apply(self, container: str, asked: Resources) -> Container:
        """Give it what is asked for, and leave the rest; raises `UpdateFailed`."""
        before = self.containers.get(container)
        if before is None or not before.lives:
            raise UpdateFailed(f"container {container!r} not found")
        if container in self.stubborn:
            raise UpdateFailed(f"container {container!r} cannot be updated")
        self.check(asked)
        after = evolve(before, resources=before.resources.merged(asked))
        self.containers[container] = after
        self.applied.append((container, asked))
        return after

    def update(self, update: Any) -> None:
        """Do what a plugin's ContainerUpdate says; raises `UpdateFailed`."""
        self.apply(update.container_id, Resources.of(update.linux.resources))

    def become(self, container: str, state: State, pid: int = 0) -> Container:
        """It is in that state now."""
        changed = evolve(self.containers[container], state=state, pid=pid)
        self.containers[container] = changed
        return changed

    def living(self) -> list[Container]:
        return [one for one in self.containers.values() if one.lives]
