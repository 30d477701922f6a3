import io
import json
import logging
import sys
from collections.abc import Iterator

import pytest

from ringfence.telemetry.log import JsonFormatter, TerminalFormatter, setup


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def root() -> Iterator[logging.Logger]:
    """The root logger, put back as it was."""
    logger = logging.getLogger()
    handlers, level = logger.handlers[:], logger.level
    yield logger
    logger.handlers[:] = handlers
    logger.setLevel(level)


def record(message: str = "ready", **fields: object) -> logging.LogRecord:
    made = logging.makeLogRecord({"msg": message, "levelno": 20, "levelname": "INFO", "name": "x"})
    made.__dict__.update(fields)
    return made


def failure() -> logging.LogRecord:
    made = record("a call failed")
    try:
        int("sk-secret")
    except ValueError:
        made.exc_info = sys.exc_info()
    return made


def test_a_line_is_json_where_nobody_looks_and_words_on_a_terminal(root: logging.Logger) -> None:
    for stream, is_json in ((io.StringIO(), True), (Terminal(), False)):
        setup(stream)
        logging.getLogger("ringfence.x").info("ready", extra={"data_port": 8484})
        line = stream.getvalue()
        assert line.endswith("\n")
        if is_json:
            stated = json.loads(line)
            assert (stated["event"], stated["level"], stated["data_port"]) == (
                "ready",
                "info",
                8484,
            )
        else:
            assert "ready  data_port=8484" in line
    assert len(root.handlers) == 1


def test_setting_up_again_replaces_what_was(root: logging.Logger) -> None:
    first, second = io.StringIO(), io.StringIO()
    setup(first)
    setup(second)
    root.info("once")
    assert first.getvalue() == ""
    assert second.getvalue().count("once") == 1


def test_chatty_libraries_are_heard_only_when_something_is_wrong(root: logging.Logger) -> None:
    stream = io.StringIO()
    setup(stream)
    logging.getLogger("uvicorn.access").info("GET /secret")
    assert stream.getvalue() == ""
    assert root.level == logging.INFO


@pytest.mark.parametrize("formatter", [JsonFormatter(), TerminalFormatter()])
def test_an_exception_tells_where_and_what_kind_but_not_its_text(
    formatter: logging.Formatter,
) -> None:
    line = formatter.format(failure())
    assert "ValueError at test_log.py:" in line
    assert "sk-secret" not in line


def test_a_json_line_is_one_line_whatever_it_holds() -> None:
    line = JsonFormatter().format(record("a\nb", path="x\r\ny", thing=object()))
    assert "\n" not in line
    assert json.loads(line)["path"] == "x\r\ny"


def test_a_warning_says_so_on_a_terminal() -> None:
    made = record("careful")
    made.levelno, made.levelname = logging.WARNING, "WARNING"
    assert "warning careful" in TerminalFormatter().format(made)
