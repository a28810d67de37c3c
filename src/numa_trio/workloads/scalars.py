"""The values of YAML 1.1's plain words: what is text, a number, a boolean, or nothing."""

import re

_MOST_DIGITS = 64  # of a number; what has more stays text, so that its field says what it expects

_TEXT = {"str", "timestamp", "value", "merge"}
_BOOLEANS = {"yes": True, "true": True, "on": True, "no": False, "false": False, "off": False}
_BASES = (
    (re.compile(r"0b[01]+"), 2),
    (re.compile(r"0x[0-9a-f]+"), 16),
    (re.compile(r"0[0-7]+"), 8),
)


def scalar(text: str, kind: str) -> object:
    """The value of a word whose tag is `!!<kind>`.

    Raises `ValueError` where the word is none of that kind, `LookupError` for another kind.
    """
    match kind:
        case "null":
            return None
        case "bool":
            if text.lower() not in _BOOLEANS:
                raise ValueError(text)
            return _BOOLEANS[text.lower()]
        case "int":
            return text if ":" in text else whole_number(text)
        case "float":
            return text if ":" in text else _real_number(text)
    if kind in _TEXT:
        return text
    raise LookupError(kind)


def whole_number(text: str) -> int | str:
    """The number as YAML 1.1 writes it; the text itself if it is too long for one."""
    if len(text) > _MOST_DIGITS:
        return text
    sign, digits = (text[0], text[1:]) if text[:1] in {"+", "-"} else ("", text)
    digits = digits.replace("_", "").lower()
    for syntax, base in _BASES:
        if syntax.fullmatch(digits):
            return int(sign + digits.removeprefix("0x").removeprefix("0b"), base)
    return int(sign + digits)


def _real_number(text: str) -> float | str:
    plain = text.replace("_", "").lower()
    if len(text) > _MOST_DIGITS or plain.endswith((".inf", ".nan")):
        return text
    return float(plain)
