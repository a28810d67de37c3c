"""Why a connection to one of our sockets ends before its peer wants it to."""

from enum import StrEnum


class Drop(StrEnum):
    """Why a connection was refused or cut off."""

    FOREIGN_UID = "foreign_uid"
    TOO_MANY = "too_many"
    PROTOCOL_ERROR = "protocol_error"
    STALLED = "stalled"  # its peer did not read the end of its stream
