"""Fields are counted as Google's protobuf would count them, before anything is decoded."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from grpcio_kubelet import AllocateRequest, PreferredAllocationRequest
from numa_trio.kubelet.api import v1beta1 as api
from numa_trio.kubelet.rpc.internals import shape_of
from numa_trio.protobuf import MalformedMessage, TooManyFields, check_fields

IDS = st.lists(st.text(max_size=200), max_size=20)


def allows(message: bytes, kind: type, most: int, most_unknown: int = 0) -> bool:
    try:
        check_fields(message, shape_of(kind), most=most, most_unknown=most_unknown)
    except TooManyFields:
        return False
    return True


@given(containers=st.lists(IDS, max_size=10))
def test_the_fields_of_every_level_count(containers: list[list[str]]) -> None:
    """A container request is a field, and so is each of its devices."""
    message = AllocateRequest(
        container_requests=[{"devices_ids": ids} for ids in containers]
    ).SerializeToString()
    fields = len(containers) + sum(map(len, containers))
    assert allows(message, api.AllocateRequest, fields)
    assert fields == 0 or not allows(message, api.AllocateRequest, fields - 1)


@given(available=IDS, must_include=IDS, size=st.integers(-(2**31), 2**31 - 1))
def test_numbers_count_too(available: list[str], must_include: list[str], size: int) -> None:
    """Also negative ones, of ten bytes."""
    message = PreferredAllocationRequest(
        container_requests=[
            {
                "available_deviceIDs": available,
                "must_include_deviceIDs": must_include,
                "allocation_size": size,
            }
        ]
    ).SerializeToString()
    fields = 1 + len(available) + len(must_include) + bool(size)
    assert allows(message, api.PreferredAllocationRequest, fields)
    assert not allows(message, api.PreferredAllocationRequest, fields - 1)


def test_unknown_fields_have_a_bound_of_their_own() -> None:
    """Of any wire type, at any level."""
    unknown = b"\x78\x01" + b"\x7a\x02ab" + b"\x7d1234" + b"\x7912345678"
    for message in (unknown, b"\x0a" + bytes([len(unknown)]) + unknown):
        assert allows(message, api.AllocateRequest, 1, most_unknown=4)
        assert not allows(message, api.AllocateRequest, 1, most_unknown=3)


@pytest.mark.parametrize(
    "message",
    [
        b"\x0a",
        b"\x0a\x05numa",
        b"\x0a\x80",
        b"\x78",
        b"\x7d123",
        b"\x0b\x0c",
        b"\xff" * 20,
        b"\x08\x01",
        b"\x0a\x03\x0a\x02n",
    ],
)
def test_what_no_message_ends_like_is_malformed(message: bytes) -> None:
    """Cut off, of a type that is not the field's, or longer than its message."""
    with pytest.raises(MalformedMessage):
        check_fields(message, shape_of(api.AllocateRequest), most=10, most_unknown=10)


@given(data=st.binary(max_size=300))
def test_any_bytes_are_counted_or_malformed(data: bytes) -> None:
    """Nothing else is raised."""
    with suppress(MalformedMessage, TooManyFields):
        check_fields(data, shape_of(api.AllocateRequest), most=10, most_unknown=10)
