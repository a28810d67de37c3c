"""Durations as a person reads them."""


def format_duration(seconds: float) -> str:
    """A duration in its two largest units: `5 s`, `3 min`, `2 h 5 min`, `4 d 2 h`."""
    minutes, rest = divmod(int(seconds), 60)
    if not minutes:
        return f"{rest} s"
    hours, minutes = divmod(minutes, 60)
    if not hours:
        return f"{minutes} min"
    days, hours = divmod(hours, 24)
    if not days:
        return f"{hours} h {minutes} min"
    return f"{days} d {hours} h"
