"""Topics: what an agent is there for, and what it leaves to others."""

import re

from ringfence.config.problem import nearest, shown
from ringfence.config.section import Section
from ringfence.config.tree import Items
from ringfence.domain.topic import Topic, TopicRules

_TEXT = re.compile(r"[^\x00-\x08\x0b-\x1f\x7f]{1,500}")
_MOST = 200


def read_topics(section: Section, models: frozenset[str]) -> TopicRules | None:
    """Read `topics` of an agent of these models; None where it takes any task."""
    inner = section.section("topics", f"`topics` of {section.where}")
    if inner is None:
        return None
    usual = TopicRules()
    rules = TopicRules(
        allowed=_read_side(inner, "allowed"),
        refused=_read_side(inner, "refused"),
        otherwise=inner.word("otherwise", usual.otherwise),
        classifier=_read_classifier(inner, models),
    )
    inner.close()
    if "allowed" not in inner and "refused" not in inner:
        what = f"{inner.where} name no topic"
        inner.problem(inner.place, what, "give `allowed`, `refused` or both, or remove the key")
    return rules


def _read_classifier(section: Section, models: frozenset[str]) -> str:
    item = section.item("classifier")
    if item is None:
        return ""
    if item.value not in models:
        what = f"{shown(item.written)} in {section.where} is not one of the agent's models"
        section.problem(item.place, what, nearest(item.written, models))
    return item.value


def _read_side(section: Section, key: str) -> tuple[Topic, ...]:
    node = section.node(key)
    if node is None:
        return ()
    if not isinstance(node, Items):
        what = f"`{key}` in {section.where} must be a list of topics"
        section.problem(node.place, what, f"write `{key}: [{{name: refunds, words: [refund]}}]`")
        return ()
    found: dict[str, Topic] = {}
    for item in node.items:
        topic = _read(Section(item, f"a topic in `{key}` of {section.where}", section.reading))
        if topic.name in found:
            section.problem(item.place, f"topic `{topic.name}` stands there twice", "join them")
        found[topic.name] = topic
    return tuple(found.values())


def _read(section: Section) -> Topic:
    section.require("name")
    topic = Topic(
        name=section.text("name"),
        words=_read_texts(section, "words"),
        examples=_read_texts(section, "examples"),
    )
    section.close()
    if not topic.words and not topic.examples:
        what = f"{section.where} has neither `words` nor `examples`"
        section.problem(section.place, what, "without them nothing tells it from others")
    return topic


def _read_texts(section: Section, key: str) -> tuple[str, ...]:
    items = section.items(key)
    for item in items:
        if not _TEXT.fullmatch(item.value) or not any(map(str.isalnum, item.value)):
            what = f"a text of `{key}` in {section.where} is empty, too long or not printable"
            section.problem(item.place, what, "at most 500 characters, with a letter or digit")
    if len(items) > _MOST:
        section.problem(section.at(key), f"`{key}` in {section.where} has more than {_MOST} texts")
    return tuple(item.value for item in items)
