"""Why a connection to one of our sockets ends before its peer wants it to."""

from enum import StrEnum


class Drop(StrEnum):
    """Why a connection was refused or cut off."""

    FOREIGN_UID = "foreign_uid"
    TOO_MANY = "too_many"  # connections, or open calls, or bytes of open requests
    PROTOCOL_ERROR = "protocol_error"
    STALLED = "stalled"  # its peer did not read what was sent to it
