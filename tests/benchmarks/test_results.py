"""The statistics of the benchmarks."""

from pathlib import Path

import pytest
from benchmarks.results import (
    OURS,
    PEER,
    Observation,
    Of,
    Run,
    Summary,
    Target,
    percentile,
    spread,
    summarize,
)
from hypothesis import given
from hypothesis import strategies as st


def observed(
    subject: str, *rounds: tuple[float, ...], measure: str = "recovery"
) -> list[Observation]:
    return [
        Observation(measure, "2 nodes", "ms", subject, number, values)
        for number, values in enumerate(rounds)
    ]


def summary_of(observations: list[Observation], target: Target | None = None) -> Summary:
    targets = {} if target is None else {("recovery", "2 nodes"): target}
    (summary,) = summarize(observations, targets)
    return summary


def test_a_percentile_is_the_least_value_that_so_many_do_not_exceed() -> None:
    """Nearest rank: of one to ten, the 10th percentile is 1 and the 90th is 9."""
    values = [7, 1, 10, 3, 5, 2, 9, 4, 8, 6]
    assert [percentile(values, percent) for percent in (0, 10, 11, 50, 90, 100)] == [
        1,
        1,
        2,
        5,
        9,
        10,
    ]


@given(st.lists(st.floats(0, 1e9), min_size=1))
def test_a_spread_is_ordered(values: list[float]) -> None:
    """Low, median, high and highest rise, whatever the values."""
    found = spread(values)
    assert found.low <= found.median <= found.highest
    assert found.low <= found.high <= found.highest


def test_the_ratio_divides_the_medians_of_all_rounds() -> None:
    """One slow round moves the ratio's range and leaves the ratio."""
    summary = summary_of(
        observed(OURS, (4, 4, 4), (4, 4, 4), (40, 40, 40)) + observed(PEER, (2,), (2,), (2,))
    )
    assert (summary.ratio, summary.ratio_low, summary.ratio_high) == (2, 2, 20)


def test_rounds_that_only_one_plugin_finished_are_in_no_ratio() -> None:
    """A ratio's range compares what was measured in the same round."""
    summary = summary_of(observed(OURS, (6,), (600,)) + observed(PEER, (2,)))
    assert (summary.ratio_low, summary.ratio_high) == (3, 3)


@pytest.mark.parametrize("peer", [[], observed(PEER, (0,))])
def test_there_is_no_ratio_to_nothing(peer: list[Observation]) -> None:
    """Without a peer's value, or with 0, there is no ratio, and a target on it has no verdict."""
    summary = summary_of(observed(OURS, (3,)) + peer, target=Target(Of.RATIO, 3))
    assert (summary.ratio, summary.ratio_low, summary.ratio_high) == (None, None, None)
    assert summary.met is None


@pytest.mark.parametrize(
    ("target", "met"),
    [
        (Target(Of.RATIO, 3), True),
        (Target(Of.RATIO, 2.9), False),
        (Target(Of.MEDIAN, 6), True),
        (Target(Of.MEDIAN, 5.9), False),
        (Target(Of.HIGHEST, 8), True),
        (Target(Of.HIGHEST, 7.9), False),
    ],
)
def test_a_target_limits_what_it_names(target: Target, met: bool) -> None:
    """The limit itself still meets the target."""
    assert summary_of(observed(OURS, (6, 6, 8)) + observed(PEER, (2,)), target=target).met is met


def test_one_lost_restart_in_any_round_misses_the_target_of_none() -> None:
    """The median of the rounds does not hide a loss."""
    lost = observed(OURS, (0,), (0,), (1,), (0,))
    assert summary_of(lost, target=Target(Of.HIGHEST, 0)).met is False


def test_measures_stay_in_order_and_apart() -> None:
    """Each measure has its own summary, in the order of the run."""
    observations = [
        *observed(OURS, (1,), measure="start"),
        *observed(OURS, (2,), measure="first list"),
        *observed(PEER, (1,), measure="start"),
        *observed(PEER, (9,), measure="only the peer's"),
    ]
    assert [summary.measure for summary in summarize(observations, {})] == ["start", "first list"]


def test_a_run_survives_being_written(tmp_path: Path) -> None:
    """What `--show` reads is what was measured."""
    run = Run({"machine": "a fast one"}, tuple(observed(OURS, (1.5, 2), (3,))), ("no quota",))
    run.write(tmp_path / "results.json")
    assert Run.read(tmp_path / "results.json") == run
