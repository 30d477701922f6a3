from pathlib import Path

import pytest

from ringfence.domain.error import UsageError
from ringfence.testing.model import script


def problem(text: str) -> str:
    with pytest.raises(UsageError) as caught:
        script.parse(text)
    assert caught.value.code == "script_invalid"
    return caught.value.message


def test_the_built_in_script_is_valid() -> None:
    assert [rule.name for rule in script.default().rules][-1] == "answer"


def test_a_script_is_read_from_a_file(tmp_path: Path) -> None:
    path = tmp_path / "script.yaml"
    path.write_text("format: 1\nrules: [{answer: {text: hi}}]\n", encoding="utf-8")
    (rule,) = script.load(path).rules
    assert [answer.text for answer in rule.sequence] == ["hi"]


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"cannot read script `.*none\.yaml`") as caught:
        script.load(tmp_path / "none.yaml")
    assert caught.value.code == "script_missing"


def test_several_answers_are_given_in_turn() -> None:
    (rule,) = script.parse("{format: 1, rules: [{answers: [{text: a}, {text: b}]}]}").rules
    assert [answer.text for answer in rule.sequence] == ["a", "b"]


def test_a_wrong_type_names_rule_and_key() -> None:
    text = "{format: 1, rules: [{answer: {}}, {name: slow, answer: {faults: {delay_ms: x}}}]}"
    assert problem(text) == (
        "script: rule 2 (`slow`): `answer.faults.delay_ms`: expected `int`, got `str`"
    )


def test_an_unknown_key_names_rule_and_key() -> None:
    text = "{format: 1, rules: [{whem: {}, answer: {}}]}"
    assert problem(text) == "script: rule 1: object contains unknown field `whem`"


def test_an_unknown_key_at_the_top_is_named() -> None:
    assert "unknown field `rulez`" in problem("{format: 1, rulez: []}")


def test_another_format_is_refused() -> None:
    assert "`format`" in problem("{format: 2, rules: []}")


def test_a_negative_count_is_refused() -> None:
    text = "{format: 1, rules: [{answer: {usage: {input_tokens: -1}}}]}"
    assert "`answer.usage.input_tokens`: expected `int` >= 0" in problem(text)


def test_a_rule_needs_an_answer() -> None:
    assert problem("{format: 1, rules: [{name: empty}]}") == (
        "script: rule 1 (`empty`): give either `answer` or `answers`"
    )


def test_a_rule_takes_one_kind_of_answer() -> None:
    text = "{format: 1, rules: [{answer: {}, answers: [{}]}]}"
    assert "give either `answer` or `answers`" in problem(text)


def test_a_broken_regular_expression_is_refused() -> None:
    text = "{format: 1, rules: [{when: {user: '('}, answer: {}}]}"
    assert "rule 1: `when.user` is not a regular expression" in problem(text)


def test_what_is_no_yaml_is_refused() -> None:
    assert "not YAML" in problem("{")


def test_a_list_is_no_script() -> None:
    assert "expected `object`, got `array`" in problem("[]")


def test_a_rule_that_is_no_mapping_is_named() -> None:
    assert problem("{format: 1, rules: [x]}") == "script: rule 1: expected `object`, got `str`"
