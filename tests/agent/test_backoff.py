"""The delays between tries."""

from hypothesis import given
from hypothesis import strategies as st

from numa_trio.agent.backoff import Backoff


def test_delays_double_up_to_the_longest() -> None:
    """Without jitter: 1, 2, 4, 5, 5."""
    backoff = Backoff(first=1.0, longest=5.0, jitter=lambda: 0.0)
    assert [backoff.next_delay() for _ in range(5)] == [1.0, 2.0, 4.0, 5.0, 5.0]


def test_reset_begins_again() -> None:
    """After a success the next trouble is met at once."""
    backoff = Backoff(first=1.0, longest=5.0, jitter=lambda: 0.0)
    backoff.next_delay()
    backoff.next_delay()
    backoff.reset()
    assert backoff.next_delay() == 1.0


@given(st.floats(0.0, 1.0), st.integers(1, 2000))
def test_jitter_shortens_by_at_most_half_and_nothing_overflows(jitter: float, tries: int) -> None:
    """After any number of tries a delay lies between half the longest and the longest."""
    backoff = Backoff(first=0.01, longest=5.0, jitter=lambda: jitter)
    delays = [backoff.next_delay() for _ in range(tries)]
    assert all(0.005 <= delay <= 5.0 for delay in delays)
    assert tries < 10 or delays[-1] >= 2.5
