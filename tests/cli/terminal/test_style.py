import io

import pytest

from ringfence.cli.terminal.style import Style, terminal_width


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture(autouse=True)
def _plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")


def test_a_terminal_gets_colours() -> None:
    assert Style.of(Terminal()).bad("no") == "\x1b[31mno\x1b[0m"


def test_a_pipe_gets_none() -> None:
    assert Style.of(io.StringIO()).bold("yes") == "yes"


@pytest.mark.parametrize(("name", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_who_wants_no_colour_gets_none(
    name: str, value: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(name, value)
    assert Style.of(Terminal()).name("plain") == "plain"


def test_nothing_is_painted_around_nothing() -> None:
    assert Style(is_coloured=True).dim("") == ""


def test_the_width_follows_the_environment_and_never_becomes_useless(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("COLUMNS", "132")
    assert terminal_width() == 132
    monkeypatch.setenv("COLUMNS", "5")
    assert terminal_width() == 40
