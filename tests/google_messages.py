"""Messages in Google's protobuf: for tests that play the other side of a protocol."""

import tempfile
from pathlib import Path

from google.protobuf import descriptor_pb2, descriptor_pool, message_factory
from google.protobuf.message import Message
from grpc_tools import protoc

PROTO = Path(__file__).resolve().parent.parent / "proto"


def read_protos(directory: Path) -> descriptor_pool.DescriptorPool:
    """Every .proto file under it, as protoc reads it; no generated code is involved."""
    pool = descriptor_pool.DescriptorPool()
    with tempfile.TemporaryDirectory() as temporary:
        target = Path(temporary, "descriptors")
        sources = sorted(str(path) for path in directory.rglob("*.proto"))
        arguments = ["protoc", f"--proto_path={directory}", f"--descriptor_set_out={target}"]
        assert protoc.main([*arguments, *sources]) == 0
        for file in descriptor_pb2.FileDescriptorSet.FromString(target.read_bytes()).file:
            pool.Add(file)
    return pool


def message_class(pool: descriptor_pool.DescriptorPool, name: str) -> type[Message]:
    """Google's class for a message, named with its package."""
    made: type[Message] = message_factory.GetMessageClass(pool.FindMessageTypeByName(name))
    return made


POOL = read_protos(PROTO)


def google_class(name: str, package: str = "v1beta1") -> type[Message]:
    """Google's class for one of kubelet's: of the device plugin API, or of `v1`, pod-resources."""
    return message_class(POOL, f"{package}.{name}")
