from collections.abc import Callable
from enum import StrEnum

import pytest

from ringfence.config.problem import Problems
from ringfence.config.reading import Reading
from ringfence.config.section import Section
from ringfence.config.tree import parse


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


Judge = Callable[[Section], object]


def judge(text: str, ask: Judge, **environment: str) -> tuple[object, list[str]]:
    """What a getter gave for a table, and the problems it noted."""
    reading = Reading(environment, Problems(), Problems(), set())
    node = parse(text, "f.yaml", reading.problems)
    assert node is not None
    value = ask(Section(node, "here", reading))
    return value, [problem.what for problem in reading.problems.found()]


@pytest.mark.parametrize(
    ("text", "value", "problems"),
    [
        ("{a: 5}", 5, []),
        ("{a: '5'}", 5, []),
        ("{a: unlimited}", None, []),
        ("{b: 5}", 9, []),
        ("{a: 0}", 9, ["`a` in here cannot be `0`"]),
        ("{a: 05}", 5, []),
        ("{a: 5.0}", 9, ["`a` in here must be a whole number, not `5.0`"]),
        ("{a: ~}", 9, ["`a` in here has no value"]),
        ("{a: [5]}", 9, ["`a` in here must be text, not a list"]),
    ],
)
def test_a_limit_is_a_whole_number_or_a_word(
    text: str, value: int | None, problems: list[str]
) -> None:
    assert judge(text, lambda section: section.limit("a", 9)) == (value, problems)


def test_a_word_is_one_of_its_enumeration() -> None:
    def ask(section: Section) -> Colour:
        return section.word("a", Colour.RED)

    assert judge("{a: blue}", ask) == (Colour.BLUE, [])
    assert judge("{a: bleu}", ask) == (Colour.RED, ["unknown a `bleu` in here"])
    assert judge("{}", ask) == (Colour.RED, [])


def test_a_value_from_the_environment_is_never_shown() -> None:
    def ask(section: Section) -> object:
        return section.word("a", Colour.RED), section.limit("b", 1), section.text("c")

    text = '{a: "${X}", b: "${X}", c: "${X}"}'
    _, problems = judge(text, ask, X="hidden value")
    assert len(problems) == 3
    assert not any("hidden" in problem for problem in problems)
    assert all("`${X}`" in problem for problem in problems)


def test_a_missing_variable_is_the_only_problem_of_its_key() -> None:
    value, problems = judge('{a: "${X}"}', lambda section: section.word("a", Colour.BLUE))
    assert (value, problems) == (Colour.BLUE, ["environment variable `X` is not set"])


def test_what_nobody_asked_for_is_unknown() -> None:
    def ask(section: Section) -> None:
        section.text("known")
        section.close()

    assert judge("{known: x, knwon: y, other: z}", ask)[1] == [
        "unknown key `knwon` in here",
        "unknown key `other` in here",
    ]


def test_a_table_that_is_none_has_one_problem() -> None:
    def ask(section: Section) -> None:
        section.require("a", "b")
        section.close()

    assert judge("[x]", ask)[1] == ["here must be a mapping, not a list"]
