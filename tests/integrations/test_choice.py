import pytest
from tests.integrations.grants import grant

from ringfence.domain.model import ProviderProtocol
from ringfence.integrations.choice import is_given, model

OPENAI, ANTHROPIC = ProviderProtocol.OPENAI, ProviderProtocol.ANTHROPIC


def test_the_first_model_of_the_first_protocol_that_has_one_is_chosen() -> None:
    assert model(grant(), ANTHROPIC, OPENAI) == "sonnet"
    assert model(grant(models={"gpt": "openai"}), ANTHROPIC, OPENAI) == "gpt"
    assert model(grant(models={}), ANTHROPIC) == ""


@pytest.mark.parametrize("word", ["--model", "--model=x", "-m"])
def test_what_the_caller_has_chosen_is_seen(word: str) -> None:
    assert is_given(("tool", word, "x"), "--model", "-m")


@pytest.mark.parametrize("words", [("tool",), ("--model",), ("tool", "--models", "x")])
def test_what_is_like_it_is_not(words: tuple[str, ...]) -> None:
    assert not is_given(words, "--model")
