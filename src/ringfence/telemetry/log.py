"""Structured logs: one line per fact, readable on a terminal, JSON otherwise."""

import json
import logging
import sys
from typing import Any, TextIO

_RESERVED = frozenset(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}

Fields = dict[str, Any]


def setup(stream: TextIO = sys.stderr, *, level: int = logging.INFO) -> None:
    """Send every log of the process to one stream, in the form that suits it."""
    handler = logging.StreamHandler(stream)
    handler.setFormatter(TerminalFormatter() if stream.isatty() else JsonFormatter())
    root = logging.getLogger()
    for old in root.handlers[:]:
        root.removeHandler(old)
    root.addHandler(handler)
    root.setLevel(level)
    # These tell what our own lines tell already, and some of it would name request targets.
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access", "asyncio"):
        logging.getLogger(name).setLevel(logging.WARNING)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, event, logger, and the fields given with `extra`."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        line: Fields = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S") + f".{int(record.msecs):03d}",
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "logger": record.name,
            **_fields(record),
        }
        if record.exc_info and record.exc_info[0] is not None:
            line["exception"] = _exception(record)
        return json.dumps(line, default=str, ensure_ascii=False)


class TerminalFormatter(logging.Formatter):
    """Time, level, event and fields for a person to read."""

    def format(self, record: logging.LogRecord) -> str:
        """Write one record."""
        fields = " ".join(f"{name}={value}" for name, value in _fields(record).items())
        level = "" if record.levelno == logging.INFO else record.levelname.lower() + " "
        text = f"{self.formatTime(record, '%H:%M:%S')} {level}{record.getMessage()}"
        if fields:
            text += f"  {fields}"
        if record.exc_info and record.exc_info[0] is not None:
            text += "\n" + _exception(record)
        return text


def _fields(record: logging.LogRecord) -> Fields:
    return {name: value for name, value in record.__dict__.items() if name not in _RESERVED}


def _exception(record: logging.LogRecord) -> str:
    """Where it happened and its type; never its text, which may hold what a peer sent (I5)."""
    if record.exc_info is None or record.exc_info[0] is None:
        return ""
    kind, _, trace = record.exc_info
    frames = []
    while trace is not None:
        code = trace.tb_frame.f_code
        frames.append(f"{code.co_filename.rsplit('/', 1)[-1]}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return f"{kind.__name__} at " + " < ".join(reversed(frames))
