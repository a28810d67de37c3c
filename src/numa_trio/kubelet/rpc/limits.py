"""What peers may ask of a server at once, and how much a server may answer."""

from typing import Self

from attrs import frozen

# A plugin's only peer is kubelet, which holds one connection for each registration.
MAX_CONNECTIONS = 64

# Calls that are not answered yet: of one connection, as HTTP/2 tells its peer, and of all. Kubelet
# has one stream open and makes one other call at a time.
MAX_CALLS_OF_CONNECTION = 32
MAX_CALLS = 256

# gRPC's default limit for one message. A peer that announces more loses its connection.
MAX_MESSAGE_BYTES = 4 * 1024 * 1024

# The bytes of requests that are not answered yet: of one connection, and of all. Above that of all,
# whoever has most of them goes.
MAX_UNANSWERED_BYTES_OF_CONNECTION = MAX_MESSAGE_BYTES + 1024 * 1024
MAX_UNANSWERED_BYTES = 8 * 1024 * 1024

# What each piece of a request costs us in memory in addition to its bytes, about.
PIECE_BYTES = 2048

# The headers of one call; kubelet's are some 300 bytes.
MAX_HEADER_BYTES = 8 * 1024

# What a peer may have sent of a frame, or of headers in several frames, that is not complete yet.
MAX_INCOMPLETE_BYTES = 32 * 1024

# What may wait in the process for a peer to read it, not counting what the kernel keeps for it.
MAX_UNREAD_BYTES = 256 * 1024

# How much is read from one connection before it is another's turn.
READ_AT_ONCE = 16 * 1024

# In a minute: calls that are reset, and pings, settings and priorities that nothing called for.
# A peer that sends more wants to keep us busy.
MAX_RESETS = 1000
MAX_CONTROL_FRAMES = 1000

# Kubelet's gRPC library pings for each piece of data that it gets, to measure the connection: so a
# call calls for one, and so does each of so many bytes that were sent.
BYTES_PER_PING = 1024

# Fields of a request that we do not know: a later kubelet may send a few.
MAX_UNKNOWN_FIELDS = 64

# An answer of kubelet's pod-resources API: its bytes; the fields that are looked at, where a device
# takes one in GetAllocatableResources and four in List; the pods, containers and blocks of memory;
# and the bytes of all names and device ids. Much more would not fit into the agent's 64 MiB.
MAX_ANSWER_BYTES = 16 * 1024 * 1024
MAX_ANSWER_FIELDS = 250_000
MAX_ANSWER_ENTRIES = 20_000
MAX_ANSWER_TEXT = 4 * 1024 * 1024

# While a server answers, HTTP/2 events other than data, and the data that allows for one more.
MAX_ANSWER_EVENTS = 1000
BYTES_PER_EVENT = 512


@frozen
class RequestLimits:
    """How large one request may be: its protobuf fields, at every level, and its bytes."""

    fields: int
    size: int

    @classmethod
    def for_devices(cls, devices: int) -> Self:
        """What a plugin of so many devices can be asked: no request names one of them twice.

        A device takes a field. Its id takes 32 bytes at most, encoded, unless it is not ours.
        """
        return cls(
            fields=1000 + devices,
            size=min(64 * 1024 + 32 * devices, MAX_MESSAGE_BYTES),
        )


# A request that names no device, or few.
SMALL = RequestLimits.for_devices(0)
