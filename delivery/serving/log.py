"""Structured logs: a JSON object a line on standard error, for whatever collects them."""

from __future__ import annotations

import json
import logging
import sys
from datetime import UTC, datetime

from delivery.console import Console

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}


class _JsonLines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            **{key: value for key, value in vars(record).items() if key not in _STANDARD},
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return json.dumps(line, ensure_ascii=False, default=str)


class LogConsole(Console):
    """Where commands would show lines to a person, they are logged."""

    def _echo(self, text: str, *, err: bool) -> None:  # noqa: ARG002 - a log has one stream
        for line in filter(None, map(str.strip, text.splitlines())):
            logging.getLogger("slipway").info(line)


def log_json() -> None:
    """From now on this process logs so."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler], force=True)
    for library in ("httpx2", "uvicorn"):
        logging.getLogger(library).setLevel(logging.WARNING)
