"""Text from outside as a person may see it: on one line, without control characters, bounded."""


def escaped(text: str) -> str:
    r"""The text with a backslash escape for each character that cannot be printed.

    A newline becomes `\n` and ESC `\x1b`, so that no text ends its line, forges another or moves a
    terminal's cursor; undecodable bytes of file names (lone surrogates) become `\udc80` and so on.
    """
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode("ascii")
        for character in text
    )


def escaped_lines(text: str) -> str:
    """The text with its lines, each escaped: for texts of our own making that have several."""
    return "\n".join(map(escaped, text.split("\n")))


def quoted(text: str, at_most: int = 80) -> str:
    """The text in quotes, escaped; of a longer one than `at_most` characters only the beginning."""
    if len(text) <= at_most:
        return repr(text)
    return f"{text[:at_most]!r}… ({len(text)} characters)"
