"""A kubelet of the official grpcio: the other side of the interoperability tests.

It shares no code with the product, not even the gRPC library.
"""

import os
import socket
import stat
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import grpc

from google_messages import google_class

RegisterRequest = google_class("RegisterRequest")
Empty = google_class("Empty")
DevicePluginOptions = google_class("DevicePluginOptions")
ListAndWatchResponse = google_class("ListAndWatchResponse")
AllocateRequest = google_class("AllocateRequest")
AllocateResponse = google_class("AllocateResponse")
PreferredAllocationRequest = google_class("PreferredAllocationRequest")
PreferredAllocationResponse = google_class("PreferredAllocationResponse")
PreStartContainerRequest = google_class("PreStartContainerRequest")
PreStartContainerResponse = google_class("PreStartContainerResponse")

PATIENCE = 60.0  # seconds; only a slow machine ever needs more than one


class GrpcioPlugin:
    """A registered plugin as kubelet sees it: its connection and the last list it sent."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.channel = grpc.insecure_channel(f"unix:{path}")
        self.devices: list[Any] | None = None
        self.lists_received = 0
        self.stream: Any = None

    def call(self, method: str, request: Any, answer: Any) -> Any:
        stub = self.channel.unary_unary(
            f"/v1beta1.DevicePlugin/{method}",
            request_serializer=type(request).SerializeToString,
            response_deserializer=answer.FromString,
        )
        # Like kubelet, it sends no deadline along; it only waits no longer.
        return stub.future(request, wait_for_ready=True).result(timeout=PATIENCE)

    def allocate(self, *containers: list[str]) -> Any:
        request = AllocateRequest(
            container_requests=[{"devices_ids": device_ids} for device_ids in containers]
        )
        return self.call("Allocate", request, AllocateResponse)

    def open_stream(self) -> Any:
        stub = self.channel.unary_stream(
            "/v1beta1.DevicePlugin/ListAndWatch",
            request_serializer=Empty.SerializeToString,
            response_deserializer=ListAndWatchResponse.FromString,
        )
        return stub(Empty())


class GrpcioKubelet:
    """Serves Registration on kubelet.sock, dials back, and follows each plugin's list."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "kubelet.sock"
        self.plugins: dict[str, GrpcioPlugin] = {}
        self.registrations: list[str] = []
        self.refusal: str | None = None
        self.opens_streams = True
        self.lives = 0
        self._changed = threading.Condition()
        self._server: grpc.Server | None = None
        self._hidden: Path | None = None

    def start(self, *, wipe: bool = True) -> None:
        """Delete every socket as kubelet does, or only its own; then listen on a new one."""
        for path in list(self.directory.iterdir()):
            with suppress(FileNotFoundError):  # a plugin may remove its own at the same time
                if stat.S_ISSOCK(path.stat().st_mode) and (wipe or path == self.socket):
                    path.unlink()
        self.lives += 1
        self._server = grpc.server(ThreadPoolExecutor(max_workers=32))
        handler = grpc.unary_unary_rpc_method_handler(
            self._register,
            request_deserializer=RegisterRequest.FromString,
            response_serializer=Empty.SerializeToString,
        )
        self._server.add_generic_rpc_handlers(
            [grpc.method_handlers_generic_handler("v1beta1.Registration", {"Register": handler})]
        )
        # grpcio removes the file that it bound; a second name for it stays behind, as kubelet's.
        self._hidden = self.directory / f".listening-{self.lives}"
        self._server.add_insecure_port(f"unix:{self._hidden}")
        self._server.start()
        os.link(self._hidden, self.socket)

    def stop(self) -> None:
        """Die: streams end, kubelet.sock stays behind as a dead file."""
        for plugin in self.plugins.values():
            plugin.channel.close()
        self.plugins.clear()
        if self._server is not None:
            self._server.stop(grace=None).wait()
            self._server = None

    def _register(self, request: Any, context: grpc.ServicerContext) -> Any:
        if self.refusal is not None:
            context.abort(grpc.StatusCode.UNKNOWN, self.refusal)
        plugin = GrpcioPlugin(self.directory / request.endpoint)
        plugin.call("GetDevicePluginOptions", Empty(), DevicePluginOptions)
        with self._changed:
            self.registrations.append(request.resource_name)
            self.plugins[request.resource_name] = plugin
            self._changed.notify_all()
        if self.opens_streams:
            plugin.stream = plugin.open_stream()
            threading.Thread(target=self._follow, args=[plugin], daemon=True).start()
        return Empty()

    def _follow(self, plugin: GrpcioPlugin) -> None:
        try:
            for message in plugin.stream:
                with self._changed:
                    plugin.devices = list(message.devices)
                    plugin.lists_received += 1
                    self._changed.notify_all()
        except (grpc.RpcError, ValueError):
            pass  # the stream broke, or its channel was closed
        with self._changed:
            plugin.devices = None
            self._changed.notify_all()

    def allocatable(self) -> dict[str, int]:
        """Healthy devices by resource, of those whose stream is open."""
        return {
            name: sum(device.health == "Healthy" for device in plugin.devices)
            for name, plugin in self.plugins.items()
            if plugin.devices is not None
        }

    def wait_for(self, condition: Callable[[], bool], what: str) -> None:
        with self._changed:
            met = self._changed.wait_for(condition, timeout=PATIENCE)
        assert met, f"not within {PATIENCE:g} s: {what}; allocatable: {self.allocatable()}"

    def wait_allocatable(self, expected: dict[str, int]) -> None:
        self.wait_for(lambda: self.allocatable() == expected, f"allocatable {expected}")


def dead_socket(path: Path) -> None:
    """Leave a socket file on which nobody listens."""
    with socket.socket(socket.AF_UNIX) as abandoned:
        abandoned.bind(str(path))
