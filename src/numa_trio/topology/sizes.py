"""Byte sizes: the kernel's unit, and how a person reads them."""

KIB = 1024  # what sysfs means by kB

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def format_bytes(size: int) -> str:
    """A size in the largest unit that leaves at least 1, with one decimal if there is any."""
    value = float(size)
    for unit in _UNITS:
        if round(value, 1) < 1024 or unit == _UNITS[-1]:
            break
        value /= 1024
    return f"{value:.1f}".removesuffix(".0") + f" {unit}"
