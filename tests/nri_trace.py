"""Sessions of NRI recorded on a real node (containerd 1.7.24, and the NRI library 0.6.1)."""

import json
from pathlib import Path

from attrs import frozen

_FILE = Path(__file__).parent / "fixtures/nri/containerd-1.7.24.jsonl"


@frozen
class Recorded:
    """A message of a session: who sent it, and its frames as they were on the socket."""

    session: int
    by_runtime: bool
    connection: int
    stream: int
    is_request: bool
    method: str
    frames: bytes


def recorded(session: int | None = None) -> list[Recorded]:
    """All messages in their order, or those of one session."""
    lines = [json.loads(line) for line in _FILE.read_text().splitlines()]
    messages = [
        Recorded(
            line["session"],
            line["dir"] == "runtime->plugin",
            line["conn"],
            line["stream"],
            line["type"] == "request",
            line["method"].rpartition("/")[2],
            bytes.fromhex(line["mux_hex"]),
        )
        for line in lines
        if "session" in line
    ]
    return [one for one in messages if session in (None, one.session)]
