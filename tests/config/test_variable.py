import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.config.variable import (
    AnyValue,
    Expansion,
    expand,
    is_broken,
    names_secret,
    references,
    sole_reference,
    sole_secret,
    with_keys,
)

ENVIRONMENT = {"A": "one", "B_2": "two", "EMPTY": ""}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("plain", "plain"),
        ("${A}", "one"),
        ("x${A}y${B_2}", "xoneytwo"),
        ("$A", "$A"),
        ("$${A}", "${A}"),
        ("$${A}${A}", "${A}one"),
        ("a$", "a$"),
    ],
)
def test_references_are_replaced_and_escapes_kept(text: str, value: str) -> None:
    assert expand(text, ENVIRONMENT) == Expansion(value=value)


def test_a_variable_without_a_value_is_missing() -> None:
    assert expand("${C}${EMPTY}${C}", ENVIRONMENT).missing == ("C", "EMPTY")


@pytest.mark.parametrize("text", ["${", "${}", "${1A}", "${A", "${A-b}", "${ A }"])
def test_what_begins_like_a_reference_and_is_none_is_broken(text: str) -> None:
    assert expand(text, ENVIRONMENT).is_broken


def test_a_value_that_looks_like_a_reference_is_not_read_again() -> None:
    assert expand("${A}", {"A": "${B}", "B": "two"}).value == "${B}"


@pytest.mark.parametrize(
    ("text", "name"),
    [("${A}", "A"), ("${_a1}", "_a1"), ("x${A}", None), ("${A} ", None), ("$${A}", None)],
)
def test_a_sole_reference_is_the_whole_text(text: str, name: str | None) -> None:
    assert sole_reference(text) == name


def test_the_names_in_a_text_are_found_in_order() -> None:
    assert references("Bearer ${B}${A} $${C}") == ["B", "A"]


@given(st.text("${}Ab1", max_size=30))
def test_every_text_can_be_written_with_escapes(text: str) -> None:
    escaped = text.replace("${", "$${")
    assert expand(escaped, {"A": "x", "b": "y"}) == Expansion(value=text)


@given(st.text("${}Ab1", max_size=30))
def test_a_text_that_is_not_broken_keeps_no_reference_to_known_variables(text: str) -> None:
    found = expand(text, {"A": "x", "b": "y"})
    assert found.is_broken or not references(found.value.replace("$${", "")) or "$${" in text


def test_an_environment_of_any_value_lacks_nothing() -> None:
    found = AnyValue(ENVIRONMENT)
    assert (found["A"], found["C"], found.get("EMPTY")) == ("one", "unset", "unset")
    assert (list(found), len(found)) == (list(ENVIRONMENT), len(ENVIRONMENT))


@pytest.mark.parametrize(
    ("text", "sole", "keyed"),
    [
        ("${secret:a}", "a", "${acme/a}"),
        ("Bearer ${secret:a-b}", None, "Bearer ${acme/a-b}"),
        ("$${secret:a}", None, "$${secret:a}"),
        ("${A}${secret:a}$${", None, "${A}${acme/a}$${"),
        ("${A}", None, "${A}"),
    ],
)
def test_secrets_are_referred_to_by_name(text: str, sole: str | None, keyed: str) -> None:
    assert sole_secret(text) == sole
    assert with_keys(text, lambda name: f"acme/{name}") == keyed
    assert names_secret(text) == (text != keyed)
    assert not is_broken(text)


@pytest.mark.parametrize("text", ["${secret:a", "${secret:a b", "${secret:${A}}", "${acme/a}"])
def test_what_is_no_reference_to_a_secret_is_broken(text: str) -> None:
    assert is_broken(text)
    assert not names_secret(text)
