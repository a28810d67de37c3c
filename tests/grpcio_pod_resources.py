"""Kubelet's pod-resources API, served by the official grpcio."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc

from google_messages import google_class

ListPodResourcesResponse = google_class("ListPodResourcesResponse", "v1")
AllocatableResourcesResponse = google_class("AllocatableResourcesResponse", "v1")

Answer = Callable[[grpc.ServicerContext], bytes]


class GrpcioPodResources:
    """Answers from these two, each a message, its bytes, or what a call comes to."""

    def __init__(self) -> None:
        self.listed: Any = ListPodResourcesResponse()
        self.allocatable: Any = AllocatableResourcesResponse()
        self.calls: list[str] = []

    def _answer(self, name: str, what: Any, context: grpc.ServicerContext) -> bytes:
        self.calls.append(name)
        if callable(what):
            what = what(context)
        return what if isinstance(what, bytes) else what.SerializeToString()

    def service(self) -> grpc.GenericRpcHandler:
        methods = {
            "List": lambda _, context: self._answer("List", self.listed, context),
            "GetAllocatableResources": lambda _, context: self._answer(
                "GetAllocatableResources", self.allocatable, context
            ),
        }
        handlers = {
            name: grpc.unary_unary_rpc_method_handler(method) for name, method in methods.items()
        }
        return grpc.method_handlers_generic_handler("v1.PodResourcesLister", handlers)

    @contextmanager
    def served(self, path: Path) -> Iterator[None]:
        """Serve on a socket of that path while the context lasts."""
        options = [("grpc.max_send_message_length", -1)]
        server = grpc.server(ThreadPoolExecutor(4), [self.service()], options=options)
        server.add_insecure_port(f"unix:{path}")
        server.start()
        try:
            yield
        finally:
            server.stop(None).wait()
