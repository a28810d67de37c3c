"""The generated messages and Google's protobuf agree on every byte of the device plugin API."""

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any, Protocol

import betterproto2
import pytest
from google.protobuf import descriptor_pb2
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message as GoogleMessage
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.strategies import SearchStrategy

from google_messages import POOL, google_class
from numa_trio.kubelet.api import v1beta1
from numa_trio.kubelet.api.message_pool import default_message_pool

# What kubelet 1.36 declares: each message's fields as `number: "type name"`.
KUBELET_MESSAGES = {
    "AllocateRequest": {1: "repeated ContainerAllocateRequest container_requests"},
    "AllocateResponse": {1: "repeated ContainerAllocateResponse container_responses"},
    "CDIDevice": {1: "string name"},
    "ContainerAllocateRequest": {1: "repeated string devices_ids"},
    "ContainerAllocateResponse": {
        1: "map<string, string> envs",
        2: "repeated Mount mounts",
        3: "repeated DeviceSpec devices",
        4: "map<string, string> annotations",
        5: "repeated CDIDevice cdi_devices",
    },
    "ContainerPreferredAllocationRequest": {
        1: "repeated string available_deviceIDs",
        2: "repeated string must_include_deviceIDs",
        3: "int32 allocation_size",
    },
    "ContainerPreferredAllocationResponse": {1: "repeated string deviceIDs"},
    "Device": {1: "string ID", 2: "string health", 3: "TopologyInfo topology"},
    "DevicePluginOptions": {
        1: "bool pre_start_required",
        2: "bool get_preferred_allocation_available",
    },
    "DeviceSpec": {1: "string container_path", 2: "string host_path", 3: "string permissions"},
    "Empty": {},
    "ListAndWatchResponse": {1: "repeated Device devices"},
    "Mount": {1: "string container_path", 2: "string host_path", 3: "bool read_only"},
    "NUMANode": {1: "int64 ID"},
    "PreStartContainerRequest": {1: "repeated string devices_ids"},
    "PreStartContainerResponse": {},
    "PreferredAllocationRequest": {
        1: "repeated ContainerPreferredAllocationRequest container_requests"
    },
    "PreferredAllocationResponse": {
        1: "repeated ContainerPreferredAllocationResponse container_responses"
    },
    "RegisterRequest": {
        1: "string version",
        2: "string endpoint",
        3: "string resource_name",
        4: "DevicePluginOptions options",
    },
    "TopologyInfo": {1: "repeated NUMANode nodes"},
}

# Each call as `path: "request -> answer"`.
KUBELET_CALLS = {
    "/v1beta1.Registration/Register": "RegisterRequest -> Empty",
    "/v1beta1.DevicePlugin/GetDevicePluginOptions": "Empty -> DevicePluginOptions",
    "/v1beta1.DevicePlugin/ListAndWatch": "Empty -> stream ListAndWatchResponse",
    "/v1beta1.DevicePlugin/GetPreferredAllocation": (
        "PreferredAllocationRequest -> PreferredAllocationResponse"
    ),
    "/v1beta1.DevicePlugin/Allocate": "AllocateRequest -> AllocateResponse",
    "/v1beta1.DevicePlugin/PreStartContainer": (
        "PreStartContainerRequest -> PreStartContainerResponse"
    ),
}

# A message without its class: what each field number holds. Unset fields are left out.
Plain = dict[int, Any]

TEXT = st.text(max_size=20)
SCALARS: Mapping[int, SearchStrategy[Any]] = {
    FieldDescriptor.TYPE_STRING: TEXT,
    FieldDescriptor.TYPE_BOOL: st.booleans(),
    FieldDescriptor.TYPE_INT32: st.integers(-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_INT64: st.integers(-(2**63), 2**63 - 1),
}


class Call(Protocol):
    """The part of grpclib's handler that tells a call's types."""

    cardinality: Any
    request_type: type[betterproto2.Message]
    reply_type: type[betterproto2.Message]


def our_class(name: str) -> type[betterproto2.Message]:
    return default_message_pool.url_to_type[f"type.googleapis.com/v1beta1.{name}"]


def is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def declaration(field: FieldDescriptor) -> str:
    """A field as one would write it in proto/, without its number."""
    if is_map(field):
        key, value = field.message_type.fields
        return f"map<{declared_type(key)}, {declared_type(value)}> {field.name}"
    repeated = "repeated " if field.is_repeated else ""
    return f"{repeated}{declared_type(field)} {field.name}"


def declared_type(field: FieldDescriptor) -> str:
    if field.message_type is not None:
        return str(field.message_type.name)
    scalar = descriptor_pb2.FieldDescriptorProto.Type.Name(field.type)
    return scalar.removeprefix("TYPE_").lower()


def plain_messages(name: str) -> SearchStrategy[Plain]:
    """Any content of a message; an optional message in it may be set and empty."""
    fields = POOL.FindMessageTypeByName(f"v1beta1.{name}").fields
    return st.fixed_dictionaries({}, optional={field.number: values(field) for field in fields})


def values(field: FieldDescriptor) -> SearchStrategy[Any]:
    if is_map(field):
        return st.dictionaries(TEXT, TEXT, min_size=1, max_size=3)
    if field.message_type is not None:
        value = plain_messages(field.message_type.name)
    else:
        value = SCALARS[field.type]
    if field.is_repeated:
        return st.lists(value, min_size=1, max_size=3)
    # In proto3 a scalar that is 0, "" or false is not told from one that is unset.
    return value if field.message_type is not None else value.filter(bool)


def to_google(name: str, plain: Plain) -> GoogleMessage:
    message = google_class(name)()
    for number, value in plain.items():
        field = message.DESCRIPTOR.fields_by_number[number]
        held = getattr(message, field.name)
        if is_map(field):
            held.update(value)
        elif field.message_type is not None and field.is_repeated:
            held.extend(to_google(field.message_type.name, item) for item in value)
        elif field.message_type is not None:
            held.CopyFrom(to_google(field.message_type.name, value))
            held.SetInParent()
        elif field.is_repeated:
            held.extend(value)
        else:
            setattr(message, field.name, value)
    return message


def from_google(message: GoogleMessage) -> Plain:
    plain: Plain = {}
    for field, value in message.ListFields():
        if is_map(field):
            plain[field.number] = dict(value)
        elif field.message_type is not None and field.is_repeated:
            plain[field.number] = [from_google(item) for item in value]
        elif field.message_type is not None:
            plain[field.number] = from_google(value)
        else:
            plain[field.number] = list(value) if field.is_repeated else value
    return plain


def our_fields(message: type[betterproto2.Message]) -> Iterator[tuple[str, int]]:
    """Each field's name in Python and its number."""
    for field in dataclasses.fields(message):
        yield field.name, field.metadata["betterproto"].number


def to_ours(name: str, plain: Plain) -> betterproto2.Message:
    descriptor = POOL.FindMessageTypeByName(f"v1beta1.{name}")
    arguments = {}
    for field_name, number in our_fields(our_class(name)):
        if number in plain:
            field, value = descriptor.fields_by_number[number], plain[number]
            if field.message_type is not None and not is_map(field):
                inner = field.message_type.name
                value = (
                    [to_ours(inner, item) for item in value]
                    if field.is_repeated
                    else to_ours(inner, value)
                )
            arguments[field_name] = value
    return our_class(name)(**arguments)


def from_ours(message: betterproto2.Message) -> Plain:
    assert message._unknown_fields == b"", "a field that the generated class does not know"
    plain: Plain = {}
    for field_name, number in our_fields(type(message)):
        value = getattr(message, field_name)
        if isinstance(value, betterproto2.Message):
            plain[number] = from_ours(value)
        elif value and isinstance(value, list) and isinstance(value[0], betterproto2.Message):
            plain[number] = [from_ours(item) for item in value]
        elif value:
            plain[number] = value
    return plain


def test_proto_declares_what_kubelet_declares() -> None:
    """Every message, field, number and type of proto/ is kubelet's, and none is missing."""
    file = POOL.FindFileByName("deviceplugin/v1beta1/deviceplugin.proto")
    assert {
        name: {field.number: declaration(field) for field in message.fields}
        for name, message in file.message_types_by_name.items()
    } == KUBELET_MESSAGES


def test_services_answer_to_kubelets_paths() -> None:
    """Each call has kubelet's path, its request and answer types, and streams where it streams."""
    calls: dict[str, Call] = {}
    for service in (v1beta1.RegistrationBase(), v1beta1.DevicePluginBase()):
        calls |= service.__mapping__()
    names = {our_class(name): name for name in KUBELET_MESSAGES}
    assert {
        path: f"{names[call.request_type]} -> "
        f"{'stream ' if call.cardinality.server_streaming else ''}{names[call.reply_type]}"
        for path, call in calls.items()
    } == KUBELET_CALLS


@pytest.mark.parametrize("name", KUBELET_MESSAGES)
@settings(max_examples=25)
@given(data=st.data())
def test_our_bytes_say_the_same_to_google(name: str, data: st.DataObject) -> None:
    """Whatever our classes encode, Google's protobuf decodes to the same content."""
    plain = data.draw(plain_messages(name))
    assert from_google(google_class(name).FromString(bytes(to_ours(name, plain)))) == plain


@pytest.mark.parametrize("name", KUBELET_MESSAGES)
@settings(max_examples=25)
@given(data=st.data())
def test_googles_bytes_say_the_same_to_us(name: str, data: st.DataObject) -> None:
    """Whatever Google's protobuf encodes, our classes decode to the same content."""
    plain = data.draw(plain_messages(name))
    encoded = to_google(name, plain).SerializeToString()
    assert from_ours(our_class(name).parse(encoded)) == plain
