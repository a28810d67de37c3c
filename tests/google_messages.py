"""Kubelet's APIs in Google's protobuf: for tests that play kubelet, or compare with it."""

import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parent.parent / "proto"


def _read_proto() -> descriptor_pool.DescriptorPool:
    """Everything under proto/, as protoc reads it; no generated code is involved."""
    pool = descriptor_pool.DescriptorPool()
    with tempfile.TemporaryDirectory() as directory:
        target = Path(directory, "descriptors")
        sources = sorted(str(path) for path in PROTO.rglob("*.proto"))
        arguments = ["protoc", f"--proto_path={PROTO}", f"--descriptor_set_out={target}", *sources]
        assert protoc.main(arguments) == 0
        for file in descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes()).file:
            pool.Add(file)
    return pool


POOL = _read_proto()


def google_class(name: str, package: str = "v1beta1") -> type[Message]:
    """Google's class for a message: of the device plugin API, or of `v1`, pod-resources."""
    return message_factory.GetMessageClass(POOL.FindMessageTypeByName(f"{package}.{name}"))
