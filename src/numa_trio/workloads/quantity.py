"""Quantities as Kubernetes writes them: `500m`, `2`, `0.5`, `1Gi`, `1e3`.

Source: k8s.io/apimachinery/pkg/api/resource. Values are exact fractions of the base unit
(CPUs, bytes, devices).
"""

import math
import re
import reprlib
from decimal import Decimal
from fractions import Fraction

_SYNTAX = re.compile(
    r"(?P<number>[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+))"
    r"(?:[eE](?P<exponent>[+-]?[0-9]{1,3})|(?P<suffix>[numkMGTPE]|[KMGTPE]i)?)"
)
_DECIMAL = {"n": -9, "u": -6, "m": -3, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 1, "Mi": 2, "Gi": 3, "Ti": 4, "Pi": 5, "Ei": 6}
_LONGEST = 100  # characters
_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxlong = _SHORT.maxother = 80
_LARGEST = 2**63 - 1  # what the API server keeps of anything larger


def parse_quantity(value: object) -> Fraction:
    """The quantity that a YAML value stands for; raises `ValueError` if it is not one.

    Numbers count as Kubernetes would read them from JSON; a quantity cannot be negative here, as
    no resource of a pod can.
    """
    text = str(value) if isinstance(value, int | float | str) else ""
    match = _SYNTAX.fullmatch(text) if len(text) <= _LONGEST else None
    if match is None:
        raise ValueError(f"{shown(value)} is not a quantity; expected one such as 2, 500m or 1Gi")
    quantity = Fraction(Decimal(match["number"])) * _scale(match["exponent"], match["suffix"])
    if quantity < 0:
        raise ValueError(f"{shown(value)} is negative; expected 0 or more")
    return min(quantity, Fraction(_LARGEST))


def _scale(exponent: str | None, suffix: str | None) -> Fraction:
    if exponent:
        return Fraction(10) ** int(exponent)
    if suffix in _BINARY:
        return Fraction(1024) ** _BINARY[suffix]
    return Fraction(10) ** _DECIMAL[suffix] if suffix else Fraction(1)


def shown(value: object) -> str:
    """A value for a message: as Python writes it, the middle left out if it is long."""
    return _SHORT.repr(value)


def whole(quantity: Fraction) -> int:
    """The quantity in whole units, rounded up, as Kubernetes' `Value()`."""
    return math.ceil(quantity)


def milli(quantity: Fraction) -> int:
    """The quantity in thousandths, rounded up, as Kubernetes' `MilliValue()`."""
    return math.ceil(quantity * 1000)


def decimal(quantity: Fraction) -> str:
    """A quantity of whole thousandths as Kubernetes writes it: `2`, `500m`."""
    return str(quantity) if quantity.denominator == 1 else f"{milli(quantity)}m"


def binary(size: int) -> str:
    """A number of bytes as in the names of huge pages: `2Mi`, `1Gi`."""
    for suffix in ("Gi", "Mi", "Ki"):
        unit = 1024 ** _BINARY[suffix]
        if size % unit == 0:
            return f"{size // unit}{suffix}"
    return str(size)
