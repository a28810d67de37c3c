"""What kubelet's pod-resources API answers, read from its bytes.

The generated messages would take 12 to 60 ms for a busy server's answer, most of it for topology
that nobody asks for; the agent asks every few seconds. Both read the same: a test compares them.
"""

from collections.abc import Iterator

from numa_trio.kubelet.rpc.limits import (
    MAX_ANSWER_ENTRIES,
    MAX_ANSWER_FIELDS,
    MAX_ANSWER_TEXT,
)
from numa_trio.plugin.holdings import Allocatable, ContainerHoldings, MemoryBlock
from numa_trio.protobuf import (
    LENGTH_DELIMITED,
    VARINT,
    Budget,
    MalformedMessage,
    MessageTooLarge,
    fields_of,
)

_SIGN = 1 << 63


def _budget() -> Budget:
    return Budget(MAX_ANSWER_FIELDS, MAX_ANSWER_ENTRIES, MAX_ANSWER_TEXT)


def decode_allocatable(data: bytes | bytearray) -> Allocatable:
    """AllocatableResourcesResponse, without its devices.

    Raises `MalformedMessage` or `MessageTooLarge`.
    """
    budget = _budget()
    cpus: list[int] = []
    memory = []
    for number, wire_type, value in fields_of(data, budget):
        if number == 2:
            cpus += _integers(wire_type, value, budget)
        elif number == 3:
            memory.append(_memory(_bytes(wire_type, value), budget))
    return Allocatable(frozenset(cpus), tuple(memory))


class HoldingsReader:
    """Reads one ListPodResourcesResponse after the other.

    Most pods are as they were the last time, to the byte, and need not be read again.
    """

    def __init__(self) -> None:
        self._read: dict[bytes, tuple[ContainerHoldings, ...]] = {}

    def decode(self, data: bytes | bytearray) -> tuple[ContainerHoldings, ...]:
        """The containers of all pods. Raises `MalformedMessage` or `MessageTooLarge`."""
        budget = _budget()
        before, self._read = self._read, {}
        containers: list[ContainerHoldings] = []
        for number, wire_type, value in fields_of(data, budget):
            if number == 1:
                budget.spend_entry()
                pod = _bytes(wire_type, value)
                read = before.get(pod)
                self._read[pod] = tuple(_pod(pod, budget)) if read is None else read
                containers += self._read[pod]
        return tuple(containers)


def _pod(data: bytes, budget: Budget) -> Iterator[ContainerHoldings]:
    name = namespace = ""
    containers = []
    for number, wire_type, value in fields_of(data, budget):
        if number == 1:
            name = _text(wire_type, value, budget)
        elif number == 2:
            namespace = _text(wire_type, value, budget)
        elif number == 3:
            budget.spend_entry()
            containers.append(_bytes(wire_type, value))
    for container in containers:
        yield _container(namespace, name, container, budget)


def _container(namespace: str, pod: str, data: bytes, budget: Budget) -> ContainerHoldings:
    name = ""
    devices: dict[str, list[str]] = {}
    cpus: list[int] = []
    memory = []
    for number, wire_type, value in fields_of(data, budget):
        if number == 1:
            name = _text(wire_type, value, budget)
        elif number == 2:
            resource, ids = _devices(_bytes(wire_type, value), budget)
            devices.setdefault(resource, []).extend(ids)
        elif number == 3:
            cpus += _integers(wire_type, value, budget)
        elif number == 4:
            memory.append(_memory(_bytes(wire_type, value), budget))
    return ContainerHoldings(
        namespace,
        pod,
        name,
        {resource: tuple(dict.fromkeys(ids)) for resource, ids in devices.items()},
        frozenset(cpus),
        tuple(memory),
    )


def _devices(data: bytes, budget: Budget) -> tuple[str, list[str]]:
    resource, ids = "", []
    for number, wire_type, value in fields_of(data, budget):
        if number == 1:
            resource = _text(wire_type, value, budget)
        elif number == 2:
            ids.append(_text(wire_type, value, budget))
    return resource, ids


def _memory(data: bytes, budget: Budget) -> MemoryBlock:
    budget.spend_entry()
    memory_type, size = "", 0
    nodes: list[int] = []
    for number, wire_type, value in fields_of(data, budget):
        if number == 1:
            memory_type = _text(wire_type, value, budget)
        elif number == 2:
            size = _number(wire_type, value)
        elif number == 3:
            nodes += _nodes(_bytes(wire_type, value), budget)
    return MemoryBlock(memory_type, size, tuple(nodes))


def _nodes(topology: bytes, budget: Budget) -> Iterator[int]:
    for number, wire_type, value in fields_of(topology, budget):
        if number == 1:
            node = 0
            for inner, inner_type, inner_value in fields_of(_bytes(wire_type, value), budget):
                if inner == 1:
                    node = _signed(_number(inner_type, inner_value))
            yield node


def _integers(wire_type: int, value: int | bytes | bytearray, budget: Budget) -> list[int]:
    """A repeated int64: packed, as proto3 has it, or one by one."""
    if wire_type == VARINT:
        return [_signed(_number(wire_type, value))]
    packed = _bytes(wire_type, value)
    budget.fields -= len(packed)
    if budget.fields < 0:
        raise MessageTooLarge("a message with too many numbers")
    numbers = []
    number = shift = 0
    for byte in packed:
        number |= (byte & 0x7F) << shift
        shift += 7
        if byte < 0x80:
            numbers.append(_signed(number & (2 * _SIGN - 1)))
            number = shift = 0
        elif shift > 63:
            raise MalformedMessage("a number of more than 64 bits")
    if shift:
        raise MalformedMessage("a message that ends inside a field")
    return numbers


def _signed(number: int) -> int:
    return number - 2 * _SIGN if number >= _SIGN else number


def _number(wire_type: int, value: int | bytes | bytearray) -> int:
    if wire_type != VARINT or not isinstance(value, int):
        raise MalformedMessage(f"a number of wire type {wire_type}")
    return value & (2 * _SIGN - 1)


def _bytes(wire_type: int, value: int | bytes | bytearray) -> bytes:
    if wire_type != LENGTH_DELIMITED or isinstance(value, int):
        raise MalformedMessage(f"a message of wire type {wire_type}")
    return value if isinstance(value, bytes) else bytes(value)


def _text(wire_type: int, value: int | bytes | bytearray, budget: Budget) -> str:
    if wire_type != LENGTH_DELIMITED or isinstance(value, int):
        raise MalformedMessage(f"a text of wire type {wire_type}")
    budget.text -= len(value)
    if budget.text < 0:
        raise MessageTooLarge("a message with too much text")
    try:
        return value.decode()
    except UnicodeDecodeError as problem:
        raise MalformedMessage("a text that is not UTF-8") from problem
