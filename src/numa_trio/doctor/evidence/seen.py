"""Where something was seen, and why something was not."""

from attrs import frozen


@frozen
class Missing:
    """Something that could not be seen; `absent` where there is no such thing at all."""

    reason: str
    absent: bool = False


@frozen
class Place:
    """A file of the host, and the line in it, from 1 on, where that is known."""

    path: str
    line: int | None = None

    def __str__(self) -> str:
        return self.path if self.line is None else f"{self.path}:{self.line}"
