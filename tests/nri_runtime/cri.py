"""Pods and containers as the runtime holds them, and as it shows them to plugins."""

from collections.abc import Mapping
from enum import IntEnum
from hashlib import sha256
from typing import Any, Self

from attrs import Factory, asdict, evolve, field, frozen

from nri_runtime import messages


class State(IntEnum):
    """As NRI numbers them."""

    UNKNOWN = 0
    CREATED = 1
    PAUSED = 2
    RUNNING = 3
    STOPPED = 4


def long_id(*names: str) -> str:
    """An id like those of runtimes, the same for the same names."""
    return sha256("/".join(names).encode()).hexdigest()


@frozen
class Resources:
    """What a container may use, or what of it is asked for; None or empty: as it is.

    Plugins are told nothing of `swap`.
    """

    cpus: str = ""
    mems: str = ""
    shares: int | None = None
    quota: int | None = None
    period: int | None = None
    memory: int | None = None
    swap: int | None = None

    def asked(self) -> dict[str, Any]:
        """The fields that say something."""
        return {name: value for name, value in asdict(self).items() if value not in (None, "")}

    def merged(self, asked: "Resources") -> "Resources":
        """These, with what is asked for in its place; the rest stays."""
        return evolve(self, **asked.asked())

    @classmethod
    def of(cls, message: Any) -> Self:
        """Those of a LinuxResources."""
        cpu = message.cpu
        optional = {
            name: getattr(cpu, name).value if cpu.HasField(name) else None
            for name in ("shares", "quota", "period")
        }
        memory = message.memory.limit.value if message.memory.HasField("limit") else None
        return cls(cpus=cpu.cpus, mems=cpu.mems, memory=memory, **optional)

    def message(self, *, whole: bool = False) -> Any:
        """As LinuxResources; if it is to be `whole` both its parts are there, empty or not."""
        made = messages.LinuxResources()
        if whole:
            made.cpu.SetInParent()
            made.memory.SetInParent()
        for name in ("cpus", "mems"):
            if getattr(self, name):
                setattr(made.cpu, name, getattr(self, name))
        for name in ("shares", "quota", "period"):
            if getattr(self, name) is not None:
                getattr(made.cpu, name).value = getattr(self, name)
        if self.memory is not None:
            made.memory.limit.value = self.memory
        return made


@frozen
class Pod:
    """A pod's sandbox. `others` are more fields of NRI's, encoded, that are sent as well."""

    name: str
    namespace: str = "default"
    uid: str = Factory(lambda self: f"uid-{self.namespace}-{self.name}", takes_self=True)
    id: str = Factory(lambda self: long_id(self.namespace, self.name), takes_self=True)
    labels: Mapping[str, str] = field(factory=dict)
    annotations: Mapping[str, str] = field(factory=dict)
    others: bytes = b""

    def message(self) -> Any:
        made = messages.PodSandbox.FromString(self.others)
        made.id, made.name, made.uid, made.namespace = self.id, self.name, self.uid, self.namespace
        made.labels.update(self.labels)
        made.annotations.update(self.annotations)
        return made


@frozen
class Container:
    """A container; what kubelet asks for, then what the runtime has made of it."""

    name: str
    pod_id: str = ""
    id: str = Factory(lambda self: long_id("container", self.name), takes_self=True)
    state: State = State.UNKNOWN
    labels: Mapping[str, str] = field(factory=dict)
    annotations: Mapping[str, str] = field(factory=dict)
    resources: Resources = field(factory=Resources)
    cgroups_path: str = ""
    pid: int = 0
    environment: Mapping[str, str] = field(factory=dict)
    memory_policy: tuple[int, str] | None = None  # a mode and its nodes; no plugin is shown it
    others: bytes = b""

    def message(self) -> Any:
        made = messages.Container.FromString(self.others)
        made.env.extend(f"{name}={value}" for name, value in self.environment.items())
        made.id, made.pod_sandbox_id, made.name = self.id, self.pod_id, self.name
        made.state, made.pid = self.state, self.pid
        made.labels.update(self.labels)
        made.annotations.update(self.annotations)
        made.linux.resources.MergeFrom(self.resources.message())
        made.linux.cgroups_path = self.cgroups_path
        return made

    @property
    def lives(self) -> bool:
        """Whether Synchronize shows it."""
        return self.state in (State.CREATED, State.PAUSED, State.RUNNING)
