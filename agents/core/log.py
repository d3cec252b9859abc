"""Structured logging: `key=value` lines to stderr and a rotating file, with secrets masked at the last gate."""

from __future__ import annotations

import contextlib
import logging
import logging.handlers
import re
import sys
import time
from pathlib import Path

LOG_FILE_BYTES = 20_000_000
LOG_FILES_KEPT = 5

_SECRET = re.compile(r"(://[^:/@\s]*:)[^@\s]+(@)|((?:password|secret|token|api_key)\s*[=:]\s*)\S+", re.IGNORECASE)


def mask_secrets(text: str) -> str:
    """`text` with passwords of URLs and of `password=...` pairs replaced by ***."""
    return _SECRET.sub(lambda m: f"{m[1]}***{m[2]}" if m[1] else f"{m[3]}***", text)


class KeyValueFormatter(logging.Formatter):
    """`2026-01-02T03:04:05.678Z level=info event=... message`, one line for each record, secrets masked."""

    converter = staticmethod(time.gmtime)

    def format(self, record: logging.LogRecord) -> str:
        stamp = self.formatTime(record, "%Y-%m-%dT%H:%M:%S")
        facts = getattr(record, "facts", {})
        pairs = "".join(f" {key}={_quoted(value)}" for key, value in facts.items())
        line = (
            f"{stamp} level={record.levelname.lower()} logger={record.name} msg={_quoted(record.getMessage())}{pairs}"
        )
        if record.exc_info and record.exc_info[1] is not None:
            trace = self.formatException(record.exc_info).replace("\n", " | ")
            line += f" error={_quoted(trace)}"
        return mask_secrets(line)

    def formatTime(self, record: logging.LogRecord, datefmt: str | None = None) -> str:  # noqa: N802 - logging's name
        base = super().formatTime(record, datefmt)
        return f"{base}.{int(record.msecs):03d}Z"


def configure_logging(file: Path | None, *, level: str = "info", console: bool = True) -> None:
    """Send the `agents` loggers to `file` (rotating) and, where `console`, to stderr; calling again replaces both."""
    logging.raiseExceptions = False  # a full disk below the log ends nothing, and shows nobody a traceback
    logger = logging.getLogger("agents")
    for handler in list(logger.handlers):
        logger.removeHandler(handler)
        with contextlib.suppress(OSError):
            handler.close()
    logger.setLevel(level.upper())
    logger.propagate = False
    formatter = KeyValueFormatter()
    if console:
        stream = logging.StreamHandler(sys.stderr)
        stream.setFormatter(formatter)
        logger.addHandler(stream)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        rotating = logging.handlers.RotatingFileHandler(
            file, maxBytes=LOG_FILE_BYTES, backupCount=LOG_FILES_KEPT, encoding="utf-8"
        )
        rotating.setFormatter(formatter)
        logger.addHandler(rotating)


def log_event(logger: logging.Logger, message: str, *, level: int = logging.INFO, **facts: object) -> None:
    """One line with `facts` as key=value pairs."""
    logger.log(level, message, extra={"facts": facts})


def _quoted(value: object) -> str:
    """A value as one word or in quotes; what a terminal would obey, or a file's name could hide in, is spelt out."""
    text = str(value).replace("\n", " | ")
    if not text.isprintable():
        text = "".join(c if c.isprintable() else c.encode("unicode_escape", "replace").decode() for c in text)
    if text and not re.search(r'[\s"=]', text):
        return text
    return '"' + text.replace("\\", "\\\\").replace('"', "'") + '"'
