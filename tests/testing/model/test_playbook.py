from typing import Any

import pytest

from ringfence.domain.model import Dialect
from ringfence.testing.model.playbook import Playbook
from ringfence.testing.model.question import Conversation, Question, Tool
from ringfence.testing.model.script import Rule, Script, ScriptedAnswer, When

OTHERWISE = Rule(name="otherwise", answer=ScriptedAnswer(text="otherwise"))


def asked(**changes: Any) -> Question:  # noqa: ANN401 (fields of a Question)
    fields: dict[str, Any] = {
        "dialect": Dialect.CHAT,
        "model": "gpt-5-mini",
        "conversation": Conversation(user="What of the weather tool?", turn=2),
        "tools": (Tool(name="weather"), Tool(name="other")),
    }
    return Question(**fields | changes)


def rule_for(when: When, question: Question, headers: dict[str, str] | None = None) -> str:
    script = Script(
        format=1, rules=(Rule(name="it", when=when, answer=ScriptedAnswer()), OTHERWISE)
    )
    chosen = Playbook(script).choose(question, headers or {})
    assert chosen is not None
    return chosen.rule


@pytest.mark.parametrize(
    ("holds", "fails"),
    [
        (When(dialect=Dialect.CHAT), When(dialect=Dialect.MESSAGES)),
        (When(model="gpt-*"), When(model="claude-*")),
        (When(user="WEATHER"), When(user="^weather")),
        (When(tool_results=False), When(tool_results=True)),
        (When(turn=2), When(turn=1)),
        (When(stream=False), When(stream=True)),
        (When(tools=("weather",)), When(tools=("weather", "absent"))),
        (When(asks_for_tool=False), When(asks_for_tool=True)),
        (When(headers={"X-Test": "a*"}), When(headers={"x-test": "b"})),
        (When(headers={"x-absent": ""}), When(headers={"x-absent": "?"})),
        (When(user="tool", turn=2), When(user="tool", turn=3)),
    ],
)
def test_a_rule_holds_if_all_it_names_holds(holds: When, fails: When) -> None:
    assert rule_for(holds, asked(), {"x-test": "abc"}) == "it"
    assert rule_for(fails, asked(), {"x-test": "abc"}) == "otherwise"


def test_a_rule_can_ask_for_the_last_tool_result() -> None:
    question = asked(conversation=Conversation(tool_results=("sun", "rain")))
    assert rule_for(When(tool_result="rain"), question) == "it"
    assert rule_for(When(tool_result="sun"), question) == "otherwise"


def test_a_rule_can_wait_for_a_tool_to_be_asked_for() -> None:
    question = asked(conversation=Conversation(user="call weather"))
    assert rule_for(When(asks_for_tool=True), question) == "it"


def test_the_first_rule_that_holds_answers() -> None:
    assert rule_for(When(), asked()) == "it"


def test_without_a_rule_there_is_no_answer() -> None:
    assert Playbook(Script(format=1, rules=())).choose(asked(), {}) is None


def test_a_rule_without_a_name_is_known_by_its_place() -> None:
    script = Script(format=1, rules=(Rule(answer=ScriptedAnswer()),))
    chosen = Playbook(script).choose(asked(), {})
    assert chosen is not None
    assert chosen.rule == "1"


def test_answers_come_in_turn_and_the_last_one_stays() -> None:
    answers = (ScriptedAnswer(text="a"), ScriptedAnswer(text="b"))
    playbook = Playbook(Script(format=1, rules=(Rule(answers=answers),)))

    def said() -> str:
        chosen = playbook.choose(asked(), {})
        assert chosen is not None
        return f"{chosen.emission.number} {chosen.emission.text.text}"

    assert [said(), said(), said()] == ["1 a", "2 b", "3 b"]
    playbook.reset()
    assert said() == "1 a"


@pytest.mark.parametrize("dialect", [Dialect.EMBEDDINGS, Dialect.COUNT_TOKENS])
def test_what_no_script_writes_needs_no_rule_and_takes_only_its_own(dialect: Dialect) -> None:
    question = asked(dialect=dialect)
    plain = Playbook(Script(format=1, rules=(OTHERWISE,))).choose(question, {})
    assert plain is not None
    assert plain.rule == ""
    assert rule_for(When(dialect=dialect), question) == "it"
