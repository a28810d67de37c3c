"""A recorded command as an SVG: each line appears when it did, and then stays."""

from collections.abc import Iterator, Sequence
from html import escape

from pictures.terminal import Line, Run

_CHARACTER, _ROW, _MARGIN, _BAR = 7.2, 16, 16, 34  # pixels, of a font of 12

_COLOURS = {31: "#ff8f8f", 32: "#6bd69a", 33: "#f0c060"}
_BOLD = 1
_SOON = 0.2  # seconds; what is written together appears together


def draw_recording(command: str, lines: Sequence[Line], columns: int) -> str:
    """The window with the command and its lines; without animations, all is there at once."""
    prompt = Line((Run("$ ", (32,)), Run(command, (_BOLD,))), 0.0)
    shown = (prompt, *lines)
    width = round(columns * _CHARACTER) + 2 * _MARGIN
    height = _BAR + len(shown) * _ROW + _MARGIN
    return "\n".join([*_head(command, shown, width, height), *_texts(shown), "</svg>", ""])


def _head(command: str, lines: Sequence[Line], width: int, height: int) -> Iterator[str]:
    yield (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
        ' xml:space="preserve"'
        ' aria-labelledby="title" font-family="ui-monospace, SFMono-Regular, Menlo, Consolas,'
        ' monospace" font-size="12">'
    )
    yield f'<title id="title">{escape(command)}, and what it prints</title>'
    yield "<style>"
    yield "text { fill: #d6dce4; white-space: pre; }"
    yield "@media (prefers-reduced-motion: no-preference) {"
    yield "  text { animation: appear 0.1s both; }"
    yield "  @keyframes appear { from { opacity: 0; } }"
    for name, at in _moments(lines).items():
        yield f"  .{name} {{ animation-delay: {at:.2f}s; }}"
    yield "}"
    yield "</style>"
    yield f'<rect width="{width}" height="{height}" rx="8" fill="#12161b"/>'
    for place, colour in enumerate(("#ff6159", "#ffbd2e", "#28c941")):
        yield f'<circle cx="{_MARGIN + 5 + 18 * place}" cy="17" r="5" fill="{colour}"/>'


def _moments(lines: Sequence[Line]) -> dict[str, float]:
    """A class for each moment at which something appears."""
    return {_class(line): line.at - line.at % _SOON for line in lines}


def _class(line: Line) -> str:
    return f"a{int(line.at / _SOON)}"


def _texts(lines: Sequence[Line]) -> Iterator[str]:
    for row, line in enumerate(lines):
        if not line.runs:
            continue
        y = _BAR + row * _ROW + 12
        length = round(len(line.text) * _CHARACTER, 1)
        yield (
            f'<text x="{_MARGIN}" y="{y}" class="{_class(line)}" textLength="{length}"'
            f' lengthAdjust="spacingAndGlyphs">{"".join(_spans(line))}</text>'
        )


def _spans(line: Line) -> Iterator[str]:
    for run in line.runs:
        text = escape(run.text, quote=False)
        style = "".join(
            [
                *(f' fill="{_COLOURS[each]}"' for each in run.style if each in _COLOURS),
                ' font-weight="bold"' if _BOLD in run.style else "",
            ]
        )
        yield f"<tspan{style}>{text}</tspan>" if style else text
