"""Our client of the pod-resources API, with a kubelet of the official grpcio, good and bad."""

import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
import trio

from grpcio_pod_resources import (
    AllocatableResourcesResponse,
    GrpcioPodResources,
    ListPodResourcesResponse,
)
from numa_trio.kubelet.errors import PodResourcesUnavailable
from numa_trio.kubelet.rpc import pod_resources_client
from numa_trio.kubelet.rpc.loop import open_bridge
from numa_trio.kubelet.rpc.pod_resources_client import connect_pod_resources
from numa_trio.plugin.holdings import Allocatable, ContainerHoldings, MemoryBlock

SLOT = "numa-align/numa-1"


def a_list() -> Any:
    node = {"nodes": [{"ID": 1}]}
    container = {
        "name": "app",
        "devices": [
            {"resource_name": SLOT, "device_ids": ["numa-1-75"], "topology": node},
            {"resource_name": SLOT, "device_ids": ["numa-1-3"], "topology": node},
        ],
        "cpu_ids": [2],
        "memory": [{"memory_type": "memory", "size": 134217728, "topology": node}],
    }
    return ListPodResourcesResponse(
        pod_resources=[
            {"name": "on-numa-1", "namespace": "default", "containers": [container]},
            {"name": "shared", "namespace": "other", "containers": [{"name": "app"}]},
        ]
    )


async def test_reads_what_kubelet_answers(tmp_path: Path) -> None:
    """Both answers come over in words of our own; the devices that exist are left out."""
    kubelet = GrpcioPodResources()
    kubelet.listed = a_list()
    kubelet.allocatable = AllocatableResourcesResponse(
        devices=[{"resource_name": SLOT, "device_ids": ["numa-1-0"]}],
        cpu_ids=[3, 1, 300],
        memory=[{"memory_type": "memory", "size": 2**40, "topology": {"nodes": [{"ID": 0}]}}],
    )
    with kubelet.served(tmp_path / "kubelet.sock"):
        async with open_bridge(), connect_pod_resources(tmp_path / "kubelet.sock") as client:
            allocatable = await client.allocatable()
            holdings = await client.list_holdings()
    assert allocatable == Allocatable(frozenset({1, 3, 300}), (MemoryBlock("memory", 2**40, (0,)),))
    assert holdings == (
        ContainerHoldings(
            "default",
            "on-numa-1",
            "app",
            {SLOT: ("numa-1-75", "numa-1-3")},
            frozenset({2}),
            (MemoryBlock("memory", 134217728, (1,)),),
        ),
        ContainerHoldings("other", "shared", "app"),
    )


def refuse(context: grpc.ServicerContext) -> bytes:
    context.abort(grpc.StatusCode.RESOURCE_EXHAUSTED, "rejected by rate limit")
    raise AssertionError("abort raises")


@pytest.mark.parametrize(
    ("answer", "what"),
    [
        (refuse, "RESOURCE_EXHAUSTED: rejected by rate limit"),
        (b"\x0a\xff\x01nonsense", "the answer is no such message"),
        (b"\x0a\x03\x1a\x05\x00", "the answer is no such message"),
        (b"\x0a\x02\x0a\xff", "the answer is no such message"),
        (bytes(16 * 1024 * 1024 + 1), "16777216 are the most"),
    ],
)
async def test_bad_answer_is_an_error_that_says_why(tmp_path: Path, answer: Any, what: str) -> None:
    """Whatever kubelet answers instead of a list ends in one kind of error."""
    kubelet = GrpcioPodResources()
    kubelet.listed = answer
    with kubelet.served(tmp_path / "kubelet.sock"):
        async with open_bridge(), connect_pod_resources(tmp_path / "kubelet.sock") as client:
            with pytest.raises(PodResourcesUnavailable, match="List: ") as caught:
                await client.list_holdings()
            assert what in str(caught.value)
            assert str(tmp_path) in str(caught.value)
            assert await client.allocatable() == Allocatable()


def closes(connection: socket.socket) -> None:
    connection.close()


def speaks_something_else(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 10)


def says_nothing(_connection: socket.socket) -> None:
    pass


@pytest.mark.parametrize("behaviour", [closes, speaks_something_else, says_nothing])
async def test_peer_that_is_no_kubelet_costs_a_bounded_time(
    tmp_path: Path, behaviour: Callable[[socket.socket], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A peer that hangs up, talks nonsense or never answers is an error after the deadline."""
    monkeypatch.setattr(pod_resources_client, "DEADLINE", 0.2)
    path = tmp_path / "kubelet.sock"
    held: list[socket.socket] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))
        listener.listen()

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                held.append(connection)
                behaviour(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            async with open_bridge(), connect_pod_resources(path) as client:
                with trio.fail_after(30), pytest.raises(PodResourcesUnavailable):
                    await client.list_holdings()
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join(30)
            for connection in held:
                connection.close()


async def test_socket_that_is_not_there_is_an_error_that_says_what_to_mount(
    tmp_path: Path,
) -> None:
    """A missing socket and a dead one are told apart."""
    path = tmp_path / "kubelet.sock"
    async with open_bridge(), connect_pod_resources(path) as client:
        with pytest.raises(PodResourcesUnavailable, match="directory mounted"):
            await client.list_holdings()
        with socket.socket(socket.AF_UNIX) as dead:
            dead.bind(os.fspath(path))
        with pytest.raises(PodResourcesUnavailable, match="nobody listens"):
            await client.list_holdings()
