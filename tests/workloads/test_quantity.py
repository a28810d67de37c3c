"""Quantities as Kubernetes writes them."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numa_trio.workloads.quantity import binary, milli, parse_quantity, whole


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("500m", Fraction(1, 2)),
        ("2", 2),
        (2, 2),
        ("0.5", Fraction(1, 2)),
        (0.5, Fraction(1, 2)),
        (".5", Fraction(1, 2)),
        ("5.", 5),
        ("+1", 1),
        ("1k", 1000),
        ("1Ki", 1024),
        ("1.5Gi", 3 << 29),
        ("1e3", 1000),
        ("1E3", 1000),
        ("1E", 10**18),
        ("1Ei", 1 << 60),
        ("12e-1", Fraction(6, 5)),
        ("100n", Fraction(1, 10**7)),
        ("0", 0),
    ],
)
def test_value(written: object, value: Fraction) -> None:
    """Each way to write a quantity gives its exact value."""
    assert parse_quantity(written) == value


@pytest.mark.parametrize(
    "written",
    [
        *("", "x", "1x", "1 Gi", "1e", "1gi", "0x10", "1_000", "\N{ARABIC-INDIC DIGIT ONE}"),
        *("1e9999", "1Kim", "--1", "1\n", True, None, float("nan"), float("inf"), [1], {}),
    ],
)
def test_no_quantity(written: object) -> None:
    """Anything else is refused, and the message shows it."""
    with pytest.raises(ValueError, match="is not a quantity; expected one such as 2, 500m or 1Gi"):
        parse_quantity(written)


def test_negative() -> None:
    """A pod cannot ask for less than nothing."""
    with pytest.raises(ValueError, match="'-1' is negative"):
        parse_quantity("-1")


def test_larger_than_anything_is_capped() -> None:
    """Like the API server, nothing above 2^63 - 1 is kept."""
    assert parse_quantity("100Ei") == 2**63 - 1


def test_rounds_up() -> None:
    """A part of a unit counts as a whole one, as in Kubernetes."""
    assert (whole(parse_quantity("1500m")), milli(parse_quantity("1.0001"))) == (2, 1001)


@given(st.integers(0, 10**9), st.sampled_from(["", "m", "k", "Ki", "Mi"]))
def test_any_number_with_any_suffix(number: int, suffix: str) -> None:
    """A whole number with a suffix is that many of it."""
    assert parse_quantity(f"{number}{suffix}") == number * parse_quantity(f"1{suffix}")


@pytest.mark.parametrize(
    ("size", "written"),
    [(64 << 10, "64Ki"), (2 << 20, "2Mi"), (1 << 30, "1Gi"), (16 << 30, "16Gi"), (1000, "1000")],
)
def test_sizes_of_pages_are_written_as_kubernetes_does(size: int, written: str) -> None:
    """In the largest unit of which it is a multiple; read again, it is the same size."""
    assert binary(size) == written
    assert parse_quantity(written) == size
