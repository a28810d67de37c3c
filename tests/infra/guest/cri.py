"""A small client of the Container Runtime Interface: pods and containers, as kubelet makes them."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import grpc
from attrs import field, frozen
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

DESCRIPTORS = Path("/guest/cri.descriptors")  # cri.proto, compiled when the image was built
CGROUPS = Path("/sys/fs/cgroup")

_PACKAGE = "runtime.v1"
_PATIENCE = 180  # seconds; under emulation on a loaded machine a second is long
_HOST_NETWORK = {"network": "NODE"}  # no network plugin is needed


@frozen
class Pod:
    """A pod's sandbox; its QoS class is Burstable."""

    id: str
    config: Mapping[str, Any]

    @property
    def cgroup(self) -> Path:
        """The cgroup of all its containers."""
        return CGROUPS / self.config["linux"]["cgroup_parent"].lstrip("/")


@frozen
class Container:
    """A container of a pod; its cgroup is there once it is started."""

    id: str
    pod: Pod

    @property
    def cgroup(self) -> Path:
        """Its cgroup."""
        return self.pod.cgroup / self.id

    @property
    def processes(self) -> list[int]:
        """Its processes, the first one first."""
        return [int(word) for word in (self.cgroup / "cgroup.procs").read_text().split()]


@frozen
class Workload:
    """What a container is to be: `annotations` are those that kubelet puts on it."""

    name: str
    image: str
    command: Sequence[str]
    annotations: Mapping[str, str] = field(factory=dict)
    environment: Mapping[str, str] = field(factory=dict)
    mounts: Mapping[str, str] = field(factory=dict)  # host's path: container's path
    cpus: str = ""
    mems: str = ""

    @property
    def config(self) -> dict[str, Any]:
        """Its message."""
        resources = {"cpu_shares": 102, "memory_limit_in_bytes": 64 << 20}
        return {
            "metadata": {"name": self.name},
            "image": {"image": self.image},
            "command": list(self.command),
            "envs": [{"key": key, "value": value} for key, value in self.environment.items()],
            "mounts": [
                {"host_path": here, "container_path": there} for here, there in self.mounts.items()
            ],
            "annotations": dict(self.annotations),
            "linux": {
                "resources": {**resources, "cpuset_cpus": self.cpus, "cpuset_mems": self.mems},
                "security_context": {"namespace_options": _HOST_NETWORK},
            },
        }


class Runtime:
    """A container runtime behind a Unix socket."""

    def __init__(self, socket: Path) -> None:
        self._channel = grpc.insecure_channel(f"unix:{socket}")
        pool = descriptor_pool.DescriptorPool()
        files = descriptor_pb2.FileDescriptorSet.FromString(DESCRIPTORS.read_bytes())
        for file in files.file:
            pool.Add(file)
        self._pool = pool

    def version(self) -> str:
        """Its name and version."""
        answer = self._call("Version")
        return f"{answer.runtime_name} {answer.runtime_version}"

    def wait_until_ready(self) -> None:
        """Wait until it answers what it is asked: at first it only tells its version."""
        deadline = time.monotonic() + _PATIENCE
        while True:
            try:
                self._call("ListContainers")
            except grpc.RpcError as problem:
                if "not initialized" not in problem.details() or time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                return

    def run_pod(self, name: str, annotations: Mapping[str, str], labels: Mapping[str, str]) -> Pod:
        """Start a pod's sandbox with the pod's own annotations and labels."""
        config = {
            "metadata": {"name": name, "uid": f"uid-{name}", "namespace": "default"},
            "labels": dict(labels),
            "annotations": dict(annotations),
            "linux": {
                "cgroup_parent": f"/kubepods/burstable/pod{name}",
                "security_context": {"namespace_options": _HOST_NETWORK},
            },
        }
        return Pod(self._call("RunPodSandbox", config=config).pod_sandbox_id, config)

    def create(self, pod: Pod, workload: Workload) -> Container:
        """Create a container of a pod."""
        answer = self._call(
            "CreateContainer",
            pod_sandbox_id=pod.id,
            config=workload.config,
            sandbox_config=pod.config,
        )
        return Container(answer.container_id, pod)

    def start(self, container: Container) -> None:
        """Start a container."""
        self._call("StartContainer", container_id=container.id)

    def update(self, container: Container, **resources: str) -> None:
        """Change a container's resources, as kubelet's CPU Manager does."""
        self._call("UpdateContainerResources", container_id=container.id, linux=resources)

    def remove(self, container: Container) -> None:
        """Forget a container that was not started."""
        self._call("RemoveContainer", container_id=container.id)

    def running(self) -> set[str]:
        """The identities of all containers that run."""
        containers = self._call("ListContainers").containers
        running = self._pool.FindEnumTypeByName(f"{_PACKAGE}.ContainerState").values_by_name[
            "CONTAINER_RUNNING"
        ]
        return {each.id for each in containers if each.state == running.number}

    def _call(self, method: str, **fields: Any) -> Any:
        request = self._message(f"{method}Request")(**fields)
        stub = self._channel.unary_unary(
            f"/{_PACKAGE}.RuntimeService/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=self._message(f"{method}Response").FromString,
        )
        return stub(request, timeout=_PATIENCE, wait_for_ready=True)

    def _message(self, name: str) -> Any:
        return message_factory.GetMessageClass(
            self._pool.FindMessageTypeByName(f"{_PACKAGE}.{name}")
        )
