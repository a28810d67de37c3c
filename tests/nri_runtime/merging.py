"""What plugins ask for in one event: merged, and refused if two set the same."""

from collections.abc import Iterable
from typing import Any

from attrs import define, field

from nri_runtime.cri import Resources

# In NRI's own words, by the field.
_CALLED = {
    "cpus": "CPU pinning",
    "mems": "memory pinning",
    "shares": "CPU shares",
    "quota": "CPU quota",
    "period": "CPU period",
    "memory": "memory limit",
}


class Conflict(Exception):
    """Two plugins want to set one field of one container."""


@define
class Wishes:
    """All that was asked for by the plugins so far; `created` is the container being made."""

    created: str = ""
    by_container: dict[str, Resources] = field(factory=dict)
    _owners: dict[tuple[str, str], str] = field(factory=dict)

    def of(self, container: str) -> Resources:
        return self.by_container.get(container, Resources())

    def adjust(self, asked: Resources, plugin: str) -> None:
        """Take what a plugin wants of the container being made; raises `Conflict`."""
        self._take(self.created, asked, plugin)

    def update(self, updates: Iterable[Any], plugin: str) -> None:
        """Take its ContainerUpdates; raises `Conflict` at one of which no failure is ignored."""
        for update in updates:
            container = update.container_id
            if container == self.created:
                raise Conflict(f'plugin "{plugin}" asked update of "{container}" during creation')
            try:
                self._take(container, Resources.of(update.linux.resources), plugin)
            except Conflict:
                if not update.ignore_failure:
                    raise

    def _take(self, container: str, asked: Resources, plugin: str) -> None:
        for name in asked.asked():
            if (owner := self._owners.get((container, name))) is not None:
                text = f'plugins "{plugin}" and "{owner}" both tried to set {_CALLED[name]}'
                raise Conflict(text)
        self._owners |= {(container, name): plugin for name in asked.asked()}
        self.by_container[container] = self.of(container).merged(asked)
