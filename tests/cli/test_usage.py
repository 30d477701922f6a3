import click
import pytest

from ringfence.cli.usage import Group, translated
from ringfence.domain.error import UsageError


@click.group(cls=Group)
def animals() -> None:
    """Animals."""


@animals.command()
@click.option("--loud", type=int)
@click.argument("name")
def call(name: str, loud: int | None) -> None:
    """Call one."""
    click.echo(f"{name} {loud}")


def run(*arguments: str) -> UsageError:
    try:
        animals.main(arguments, prog_name="animals", standalone_mode=False)
    except click.ClickException as error:
        return translated(error)
    except UsageError as error:
        return error
    raise AssertionError("nothing was wrong")


def test_a_misspelt_command_is_offered_the_nearest() -> None:
    error = run("cal")
    assert (error.code, error.message) == ("command_unknown", "unknown command `cal`")
    assert error.help == "did you mean `call`?"


def test_what_is_near_to_nothing_is_shown_the_way_to_the_help() -> None:
    assert run("xyz").help == "see `animals --help`"


def test_a_misspelt_option_is_offered_the_nearest() -> None:
    error = run("call", "--lout", "1", "rex")
    assert (error.message, error.help) == ("unknown option `--lout`", "did you mean `--loud`?")


def test_what_is_missing_is_named_with_the_usage() -> None:
    error = run("call")
    assert error.message == "missing argument `NAME`"
    assert error.help == "usage: animals call [OPTIONS] NAME; see `animals call --help`"


def test_a_wrong_value_is_said_in_one_plain_line() -> None:
    error = run("call", "--loud", "very", "rex")
    assert error.message == "invalid value for `--loud`: `very` is not a valid integer"


def test_right_use_is_left_alone(capsys: pytest.CaptureFixture[str]) -> None:
    animals.main(["call", "rex"], prog_name="animals", standalone_mode=False)
    assert capsys.readouterr().out == "rex None\n"
