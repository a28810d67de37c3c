"""The log's two forms: whatever a message quotes, a record stays one record."""

import json
import logging
import sys

from hypothesis import example, given
from hypothesis import strategies as st

from numa_trio.logs import JsonFormatter, TextFormatter

any_text = st.text(st.characters(exclude_categories=()))

HOSTILE = "no\n2026-01-02T03:04:05.678Z ERROR   lost\r\x1b]0;title\x07\x9b2J\u2028\udcff"


def record(message: str, **extra: object) -> logging.LogRecord:
    made = logging.makeLogRecord(
        {"levelname": "INFO", "msg": "kubelet: %s", "args": (message,), **extra}
    )
    made.created = 0.0
    return made


def test_a_message_cannot_forge_a_record_of_the_text_log() -> None:
    """Newlines and escape sequences are shown as escapes, in the one line of their record."""
    assert TextFormatter().format(record(HOSTILE)) == (
        "1970-01-01T00:00:00.000Z INFO    kubelet: no\\n2026-01-02T03:04:05.678Z ERROR   lost"
        "\\r\\x1b]0;title\\x07\\x9b2J\\u2028\\udcff"
    )


def test_ordinary_text_is_left_alone() -> None:
    """Letters of every language are printable, and backslashes are not doubled."""
    line = TextFormatter().format(record("größer als 5 % \N{RIGHTWARDS ARROW} C:\\n"))
    assert line.endswith("kubelet: größer als 5 % \N{RIGHTWARDS ARROW} C:\\n")


@given(any_text)
@example(HOSTILE)
def test_every_message_is_one_printable_line_of_the_text_log(message: str) -> None:
    """Also one with characters that no terminal and no encoding takes."""
    line = TextFormatter().format(record(message))
    assert line.isprintable()
    line.encode()


@given(any_text)
@example(HOSTILE)
def test_a_traceback_cannot_be_taken_for_records(message: str) -> None:
    """Each of its lines is indented below the record's, whatever the exception says."""
    try:
        raise ValueError(message)
    except ValueError:
        error = record("failed", exc_info=sys.exc_info())
    first, *others = TextFormatter().format(error).split("\n")
    assert first.endswith("kubelet: failed")
    assert others
    assert all(line.startswith("    ") and line.isprintable() for line in others)


@given(any_text, any_text)
@example(HOSTILE, "\ud83d\ude00")
@example("\\\udcff", "\\\\ud800")
def test_every_json_record_is_ascii_and_any_reader_takes_it(message: str, extra: str) -> None:
    """Text comes back as it was; half a character, which strict readers refuse, as its escape."""
    line = JsonFormatter().format(record(message, peer=extra, peers=[extra]))
    assert line.isascii()
    assert line.isprintable() or "\x7f" in line
    entry = json.loads(line)
    assert entry["message"] == "kubelet: " + message.encode(errors="backslashreplace").decode()
    expected = extra.encode(errors="backslashreplace").decode()
    assert (entry["peer"], entry["peers"]) == (expected, [expected])


def test_json_names_the_server() -> None:
    """Who collects the lines of many servers need not look the pod up."""
    assert json.loads(JsonFormatter("server-1").format(record("hello")))["host"] == "server-1"
    assert "host" not in json.loads(JsonFormatter().format(record("hello")))
