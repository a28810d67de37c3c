"""Logging: JSON lines for machines, plain text for a terminal, both on standard error."""

import json
import logging
import re
import sys
from datetime import UTC, datetime

from numa_trio.plain_text import escaped
from numa_trio.setting_values import LogFormat, LogLevel

# What every record has; the rest of its attributes was given with `extra`.
_STANDARD = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

# These log each cancelled call and each frame; the bridge logs what matters of it.
_CHATTY = ("asyncio", "grpclib", "h2", "hpack")


_BEYOND_ASCII = re.compile(r"[^\x20-\x7e]")


def _json_escape(match: re.Match[str]) -> str:
    r"""The escape of a character in a JSON string.

    Lone surrogates stand for bytes of file names that are not UTF-8. JSON can write them, but not
    all of its readers take them: they get a text that looks like `\udc80` instead.
    """
    escape = json.dumps(match[0])[1:-1]
    return f"\\{escape}" if "\ud800" <= match[0] <= "\udfff" else escape


def _timestamp(record: logging.LogRecord) -> str:
    moment = datetime.fromtimestamp(record.created, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _extras(record: logging.LogRecord) -> dict[str, object]:
    return {key: value for key, value in record.__dict__.items() if key not in _STANDARD}


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, and the record's extra fields.

    With the name of the server as `host`, if it is known.
    """

    def __init__(self, host: str = "") -> None:
        super().__init__()
        self._host = {"host": host} if host else {}

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, without its end."""
        entry: dict[str, object] = {
            "time": _timestamp(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": record.getMessage(),
            **self._host,
            **_extras(record),
        }
        if record.exc_info:
            entry["exception"] = self.formatException(record.exc_info)
        return _BEYOND_ASCII.sub(_json_escape, json.dumps(entry, default=str, ensure_ascii=False))


class TextFormatter(logging.Formatter):
    """Time, level and message, for a person.

    Messages quote kubelet, peers and file names. Nothing in them can end the line, begin a record
    of its own or reach the terminal as a command; a traceback is indented for the same reason.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, with a traceback below it if there is one."""
        lines = [f"{_timestamp(record)} {record.levelname:<7} {escaped(record.getMessage())}"]
        if record.exc_info:
            traceback = self.formatException(record.exc_info).split("\n")
            lines += (f"    {escaped(line)}" for line in traceback)
        return "\n".join(lines)


def configure_logging(log_format: LogFormat, level: LogLevel, host: str = "") -> None:
    """Send all logging to standard error in `log_format`, from `level` up.

    JSON lines have the name of the server, `host`.
    """
    stream = sys.stderr
    as_text = log_format is LogFormat.TEXT or (log_format is LogFormat.AUTO and stream.isatty())
    target = logging.StreamHandler(stream)
    target.setFormatter(TextFormatter() if as_text else JsonFormatter(host))
    logging.basicConfig(handlers=[target], level=level.upper(), force=True)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.ERROR)
