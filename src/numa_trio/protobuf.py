"""Encoded protobuf messages: fields read and written, and counted before anything is decoded.

Source of the format: Protocol Buffers documentation, "Encoding".
"""

from collections.abc import Iterator, Mapping

from attrs import define, frozen

VARINT, FIXED_64, LENGTH_DELIMITED, FIXED_32 = 0, 1, 2, 5  # wire types


class MalformedMessage(ValueError):
    """The bytes are not an encoded message."""


class TooManyFields(ValueError):
    """The message has more fields than it may have."""


class MessageTooLarge(ValueError):
    """A message is larger than it may be."""


@define
class Budget:
    """What may still be read of a message: fields at every level, entries, bytes of text."""

    fields: int
    entries: int
    text: int

    def spend_entry(self) -> None:
        """Count one more entry of a list; raises `MessageTooLarge`."""
        self.entries -= 1
        if self.entries < 0:
            raise MessageTooLarge("a message with too many entries")


@frozen(eq=False)
class FieldShape:
    """The wire type of a field, and its own fields if it is a message."""

    wire_type: int
    message: "MessageShape | None" = None


MessageShape = Mapping[int, FieldShape]
"""The fields of a message, by number."""


def check_fields(data: bytes, shape: MessageShape, *, most: int, most_unknown: int) -> None:
    """Check that the message, with those inside it, has at most so many fields.

    Raises `TooManyFields` as soon as there are more, and `MalformedMessage` if a field is not of
    its type, or ends after its message. Takes time in proportion to `most`, whatever the bytes are.
    """
    known = unknown = 0
    unread = [(0, len(data), shape)]
    while unread:
        position, end, present = unread.pop()
        while position < end:
            key, position = _varint(data, position, end)
            start, position = _value(data, position, end, key & 7)
            field = present.get(key >> 3)
            if field is None:
                unknown += 1
                if unknown > most_unknown:
                    raise TooManyFields(f"more than {most_unknown} unknown fields")
                continue
            known += 1
            if known > most:
                raise TooManyFields(f"more than {most} fields")
            if key & 7 != field.wire_type:
                raise MalformedMessage(f"field {key >> 3} has wire type {key & 7}")
            if field.message is not None:
                unread.append((start, position, field.message))


def fields_of(
    data: bytes | bytearray, budget: Budget
) -> Iterator[tuple[int, int, int | bytes | bytearray]]:
    """The fields of a message in order: number, wire type, and value.

    The value is a number of type `VARINT`, else bytes. Raises `MalformedMessage`, and
    `MessageTooLarge` when the budget of fields is spent.
    """
    position, end = 0, len(data)
    while position < end:
        budget.fields -= 1
        if budget.fields < 0:
            raise MessageTooLarge("a message with too many fields")
        key = data[position]
        position += 1
        if key >= 0x80:
            key, position = _varint(data, position - 1, end)
        wire_type = key & 7
        if wire_type == LENGTH_DELIMITED and position < end and data[position] < 0x80:
            start = position + 1  # nearly all fields that there are
            position = start + data[position]
            if position > end:
                raise MalformedMessage("a field that is longer than its message")
        elif wire_type == VARINT:
            number, position = _varint(data, position, end)
            yield key >> 3, VARINT, number
            continue
        else:
            start, position = _value(data, position, end, wire_type)
        yield key >> 3, wire_type, data[start:position]


def _value(data: bytes | bytearray, position: int, end: int, wire_type: int) -> tuple[int, int]:
    """Where the value at `position` begins, after its length, and where it ends."""
    if wire_type == LENGTH_DELIMITED:
        length, start = _varint(data, position, end)
        after = start + length
    elif wire_type == VARINT:
        start = position
        _, after = _varint(data, position, end)
    elif wire_type in (FIXED_32, FIXED_64):
        start = position
        after = position + (4 if wire_type == FIXED_32 else 8)
    else:
        raise MalformedMessage(f"wire type {wire_type}")
    if after > end:
        raise MalformedMessage("a field that is longer than its message")
    return start, after


def _varint(data: bytes | bytearray, position: int, end: int) -> tuple[int, int]:
    """The number at `position`, and where it ends."""
    number = 0
    for shift in range(0, 64, 7):
        if position >= end:
            raise MalformedMessage("a message that ends inside a field")
        byte = data[position]
        position += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, position
    raise MalformedMessage("a number of more than 64 bits")


def integer_field(number: int, value: int) -> bytes:
    """A field that is a number, bool or enum; nothing for 0, which is the default."""
    return _encoded(number << 3 | VARINT) + _encoded(value) if value else b""


def text_field(number: int, value: str) -> bytes:
    """A field that is a string; nothing for an empty one, which is the default."""
    return message_field(number, value.encode(errors="surrogateescape")) if value else b""


def message_field(number: int, value: bytes) -> bytes:
    """A field that is a message or bytes, even an empty one: it tells that the field is there."""
    return _encoded(number << 3 | LENGTH_DELIMITED) + _encoded(len(value)) + value


def _encoded(number: int) -> bytes:
    """A varint; of a negative number that of its 64-bit two's complement."""
    number &= 2**64 - 1
    out = bytearray()
    while number >= 0x80:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)
