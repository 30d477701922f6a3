import json

import pytest

from ringfence.app.readers import readers
from ringfence.domain.model import Dialect

ASKED = {
    Dialect.CHAT: {"model": "m", "messages": [{"role": "user", "content": "hello"}]},
    Dialect.RESPONSES: {"model": "m", "input": "hello"},
    Dialect.MESSAGES: {"model": "m", "messages": [{"role": "user", "content": "hello"}]},
    Dialect.COUNT_TOKENS: {"model": "m", "messages": [{"role": "user", "content": "hello"}]},
    Dialect.GEMINI: {"contents": [{"role": "user", "parts": [{"text": "hello"}]}]},
}


@pytest.mark.parametrize("dialect", ASKED)
def test_a_stored_request_of_each_dialect_is_readable(dialect: Dialect) -> None:
    reader = readers()[dialect.value]
    reading = reader.read_exchange(json.dumps(ASKED[dialect]).encode(), b"", streamed=False)
    assert [part.text for message in reading.context for part in message.parts] == ["hello"]


def test_only_embeddings_have_nothing_to_read() -> None:
    assert {each.value for each in Dialect} - readers().keys() == {Dialect.EMBEDDINGS.value}
