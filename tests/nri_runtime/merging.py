"""What plugins ask for in one event: merged, and refused if two set the same."""

from collections.abc import Iterable
from typing import Any

from attrs import define, evolve, field

from nri_runtime.cri import Container, Resources

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
    """All that was asked for by the plugins so far, of the one being `created` and of others."""

    _created: Container | None = field(default=None, alias="created")
    by_container: dict[str, Resources] = field(factory=dict)
    _owners: dict[tuple[str, str], str] = field(factory=dict)

    def of(self, container: str) -> Resources:
        return self.by_container.get(container, Resources())

    @property
    def created(self) -> Container:
        """It, as far as it has been adjusted."""
        assert self._created is not None, "no container is being created"
        return self._created

    def adjust(self, adjustment: Any, plugin: str) -> None:
        """Take a ContainerAdjustment of the container being made; raises `Conflict`."""
        container, linux = self.created.id, adjustment.linux
        environment = {pair.key: pair.value for pair in adjustment.env}
        resources = Resources.of(linux.resources)
        policy = self.created.memory_policy
        names = [f"annotation {key}" for key in adjustment.annotations]
        names += [f"env {name}" for name in environment]
        names += [_CALLED[name] for name in resources.asked()]
        if linux.HasField("memory_policy"):
            names.append("memory policy")
            policy = linux.memory_policy.mode, linux.memory_policy.nodes
        self._claim(container, names, plugin)
        self._created = evolve(
            self.created,
            annotations={**self.created.annotations, **adjustment.annotations},
            environment={**self.created.environment, **environment},
            resources=self.created.resources.merged(resources),
            memory_policy=policy,
        )

    def update(self, updates: Iterable[Any], plugin: str) -> None:
        """Take its ContainerUpdates; raises `Conflict` at one of which no failure is ignored."""
        for update in updates:
            container, asked = update.container_id, Resources.of(update.linux.resources)
            if self._created is not None and container == self.created.id:
                raise Conflict(f'plugin "{plugin}" asked update of "{container}" during creation')
            try:
                self._claim(container, [_CALLED[name] for name in asked.asked()], plugin)
            except Conflict:
                if not update.ignore_failure:
                    raise
            else:
                self.by_container[container] = self.of(container).merged(asked)

    def _claim(self, container: str, names: list[str], plugin: str) -> None:
        for name in names:
            if (owner := self._owners.get((container, name))) is not None:
                raise Conflict(f'plugins "{plugin}" and "{owner}" both tried to set {name}')
        self._owners |= {(container, name): plugin for name in names}
