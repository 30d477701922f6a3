"""Conversations as agents send them: the whole history again at each step."""

import random

import msgspec

from ringfence.stores.body import Body

_WORDS = """the a to of in and for ticket refund customer order please check status invoice error
retry server answer found nothing next step call tool result value true false agent model plan
""".split()  # noqa: SIM905 (a list of words reads best as text)


def message(dice: random.Random, role: str, words: int) -> bytes:
    """Text with some of the entropy that real text has: common words, names and numbers."""
    text = " ".join(
        dice.choice(_WORDS) if dice.random() < 0.75 else f"{dice.getrandbits(32):x}"
        for _ in range(words)
    )
    return msgspec.json.encode({"role": role, "content": text})


def request(messages: list[bytes], *, head: bytes = b'{"model":"m","messages":[') -> Body:
    spans: list[tuple[int, int]] = []
    whole = head
    for number, one in enumerate(messages):
        whole += b"," if number else b""
        spans.append((len(whole), len(whole) + len(one)))
        whole += one
    return Body(whole + b'],"tools":[{"name":"search"}]}', tuple(spans))
