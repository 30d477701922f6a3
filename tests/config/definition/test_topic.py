from collections.abc import Callable

from ringfence.config.loading import Loaded
from ringfence.domain.topic import Otherwise, Topic, TopicRules

HEAD = """\
format: 1
organisation: acme
users:
  owner@acme.example: {roles: [admin]}
agents:
  triage:
    owner: owner@acme.example
    topics: """


def test_what_is_wrong_with_topics_is_named_with_its_place(
    refusal: tuple[str, list[str]], problems_of: Callable[..., list[str]]
) -> None:
    text, expected = refusal
    assert problems_of(HEAD + text) == expected


def test_all_parts_of_topics_are_read(load_text: Callable[..., Loaded]) -> None:
    text = """
      allowed: [{name: orders, words: [refund], examples: ["Where is it?"]}]
      refused: [{name: medicine, words: [dosage]}]
      otherwise: refuse
"""
    triage = load_text(HEAD + text).configuration.organisations["acme"].agents["triage"]
    assert triage.topics == TopicRules(
        allowed=(Topic(name="orders", words=("refund",), examples=("Where is it?",)),),
        refused=(Topic(name="medicine", words=("dosage",)),),
        otherwise=Otherwise.REFUSE,
    )


def test_without_topics_any_task_is_taken(load_text: Callable[..., Loaded]) -> None:
    plain = HEAD.removesuffix("    topics: ")
    assert load_text(plain).configuration.organisations["acme"].agents["triage"].topics is None


def test_a_classifier_is_a_model_of_the_agents(
    load_text: Callable[..., Loaded], problems_of: Callable[..., list[str]]
) -> None:
    text = """
      refused: [{name: medicine, words: [dosage]}]
      classifier: small
"""
    models = """
providers:
  local: {protocol: openai, base_url: "http://localhost:9000/v1"}
models:
  small: {provider: local, upstream: small, price: {input: 1, output: 2}}
"""
    loaded = load_text(HEAD + text + "    models: [small]\n" + models)
    topics = loaded.configuration.organisations["acme"].agents["triage"].topics
    assert topics is not None
    assert topics.classifier == "small"
    [problem] = problems_of(HEAD + text + models)
    assert "`small` in `topics` of agent `triage` is not one of the agent's models" in problem
