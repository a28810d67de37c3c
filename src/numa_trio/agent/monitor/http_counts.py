"""What has happened to the HTTP server's connections since the agent started."""

from enum import StrEnum

from attrs import Factory, define


class HttpDrop(StrEnum):
    """Why a connection to the HTTP server was cut off."""

    BAD_REQUEST = "bad_request"  # not HTTP, or its head is too large
    SLOW_REQUEST = "slow_request"
    SLOW_RESPONSE = "slow_response"  # the client did not read its answer
    CROWDED_OUT = "crowded_out"  # the oldest one made way for a new one


@define(eq=False)
class HttpCounts:
    """How many connections were cut off, for each reason."""

    dropped: dict[HttpDrop, int] = Factory(lambda: dict.fromkeys(HttpDrop, 0))

    def connection_dropped(self, reason: HttpDrop) -> None:
        """A connection was cut off."""
        self.dropped[reason] += 1
