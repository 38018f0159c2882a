"""One form for the log lines of every process: JSON for machines, text at a terminal.

`bound` says what the code inside it is about; every line written there carries these fields. What
looks like a secret is blanked, wherever it came from: the rule is that none is logged, and this is
for the day on which a library breaks it.
"""

import logging
import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any, Final, Literal

import orjson

LogFormat = Literal["auto", "json", "text"]
_ABOUT: ContextVar[Mapping[str, str] | None] = ContextVar("about", default=None)
_SECRET: Final = re.compile(
    r"strata_key_\w+"
    r"|whsec_[A-Za-z0-9+/=_-]+"
    r"|(?<=://)[^/\s@]+:[^/\s@]+(?=@)"
    r"|(?i:(?<=bearer )[^\s\"',]+)"
    r"|(?i:(?<=x-amz-signature=)[0-9a-f]+|(?<=x-amz-credential=)[^&\s]+)"
)
_BLANK: Final = "[secret]"
_CHATTY: Final = ("httpx",)  # a line for each request to Qdrant, which is several a block


@contextmanager
def bound(**about: str | None) -> Iterator[None]:
    """Let every line written inside say what it is about: `batch_id=...`; None says nothing."""
    known = {name: value for name, value in about.items() if value is not None}
    token = _ABOUT.set({**(_ABOUT.get() or {}), **known})
    try:
        yield
    finally:
        _ABOUT.reset(token)


def bound_fields() -> Mapping[str, str]:
    """Return what lines written here are about."""
    return _ABOUT.get() or {}


def setup_logging(process: str, form: LogFormat, level: str) -> None:
    """Write this process's lines to its standard error; doing it again replaces the form."""
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())
    handler = _Handler(sys.stderr)
    handler.setFormatter(JsonFormatter(process) if as_json else TextFormatter())
    root = logging.getLogger()
    for one in tuple(root.handlers):
        if isinstance(one, _Handler):
            root.removeHandler(one)
    root.addHandler(handler)
    root.setLevel(level)
    for name in _CHATTY:
        logging.getLogger(name).setLevel(max(root.level, logging.WARNING))


class _Handler(logging.StreamHandler[Any]):
    """Ours, among those of others."""


class JsonFormatter(logging.Formatter):
    """A line of JSON: at, level, process, logger, message, what it is about, error and trace."""

    def __init__(self, process: str) -> None:
        super().__init__()
        self._process = process

    def format(self, record: logging.LogRecord) -> str:
        """Return the line."""
        line: dict[str, Any] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "process": self._process,
            "logger": record.name,
            "message": _blank(record.getMessage()),
            **{_camel(name): value for name, value in bound_fields().items()},
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = record.exc_info[0].__name__
            line["stack"] = _blank("".join(traceback.format_exception(*record.exc_info)))
        return orjson.dumps(line, default=str).decode()


class TextFormatter(logging.Formatter):
    """A line for people; what it is about stands at its end."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Return the line, and a stack trace below it."""
        line = super().format(record)
        head, _, rest = line.partition("\n")
        about = "".join(f" {_camel(name)}={value}" for name, value in bound_fields().items())
        return _blank(f"{head}{about}" + (f"\n{rest}" if rest else ""))


def _blank(text: str) -> str:
    return _SECRET.sub(_BLANK, text)


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part.capitalize() for part in rest)
