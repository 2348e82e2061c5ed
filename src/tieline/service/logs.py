"""Log lines as text or as JSON, each with time, level and event, and without secrets.

A line is written as `event=NAME` and further `name=%s` pairs; as JSON each pair is a field. The
request that a line belongs to is added to it.
"""

import json
import logging
import re
from collections.abc import Iterator
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Final, Literal

Form = Literal["text", "json"]

#: The request that the present work is done for; empty outside of requests.
REQUEST: Final[ContextVar[str]] = ContextVar("request", default="")

_PAIR: Final = re.compile(r"([a-z_]+)=(\S+)")
_CONVERSION: Final = re.compile(r"%[-+ #0]*\d*(?:\.\d+)?[a-z]")
_FLOAT: Final = re.compile(r"%\.\d+f")
_AS_IT_IS: Final = ("%s", "%r", "%d")
#: Tokens, ours and JSON Web Tokens, wherever they may have come from.
_SECRET: Final = re.compile(
    r"(tl_[0-9a-f]{12}_)[A-Za-z0-9_-]{43}|(eyJ)[\w-]{8,}\.[\w-]{8,}\.[\w-]{8,}"
    r"|(://[^\s:/@]{0,200}:)[^\s/@]{1,200}(?=@)"
)


def set_up(form: Form, level: int) -> None:
    """Have all log lines of this process from a level on go to standard error."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines() if form == "json" else TextLines())
    logging.basicConfig(level=level, handlers=[handler], force=True)
    for noisy in ("httpx", "httpcore", "uvicorn.error"):
        logging.getLogger(noisy).setLevel(logging.WARNING)


def without_secrets(text: str) -> str:
    """Give the text with the secret parts of tokens and addresses taken out."""
    return _SECRET.sub(lambda found: f"{found[1] or found[2] or found[3]}***", text)


class TextLines(logging.Formatter):
    """One line for people, and the stack trace of an error after it."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s level=%(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        request = REQUEST.get()
        text = super().format(record)
        head, newline, trace = text.partition("\n")
        mine = f" request={request}" if request and " request=" not in head else ""
        return without_secrets(f"{head}{mine}{newline}{trace}")


class JsonLines(logging.Formatter):
    """One JSON document per line."""

    def format(self, record: logging.LogRecord) -> str:
        """Give the line."""
        at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        line: dict[str, object] = {"time": at, "level": record.levelname.lower()}
        pairs = dict(_pairs(record))
        line |= pairs if "event" in pairs else {"event": "message", "text": record.getMessage()}
        if request := REQUEST.get():
            line.setdefault("request", request)
        if record.exc_info:
            line["trace"] = self.formatException(record.exc_info)
        text = json.dumps(line, ensure_ascii=False, default=str)
        return without_secrets(text)


def _pairs(record: logging.LogRecord) -> Iterator[tuple[str, object]]:
    """Give the pairs of a line, with the values that were put in."""
    values = iter(record.args if isinstance(record.args, tuple) else ())
    for name, written in _PAIR.findall(str(record.msg)):
        needed = tuple(next(values, None) for _ in _CONVERSION.findall(written))
        if written in _AS_IT_IS:
            yield name, needed[0]
        elif needed:
            text = written % needed
            yield name, float(text) if _FLOAT.fullmatch(written) else text
        else:
            yield name, written
