"""Counts observations by size."""

from bisect import bisect_left

from attrs import define, field


@define
class Histogram:
    """How many observations fell at or below each of `bounds`, which rise, and their sum."""

    bounds: tuple[float, ...]
    counts: list[int] = field(init=False)  # of each bucket alone; the last one has no bound
    sum: float = field(default=0.0, init=False)

    def __attrs_post_init__(self) -> None:
        self.counts = [0] * (len(self.bounds) + 1)

    def observe(self, value: float) -> None:
        """Count one observation."""
        self.counts[bisect_left(self.bounds, value)] += 1
        self.sum += value

    def add(self, other: "Histogram") -> None:
        """Count all that `other`, of the same bounds, has counted."""
        assert self.bounds == other.bounds
        self.counts = [
            mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)
        ]
        self.sum += other.sum
