"""How they are called is told in `tests/gateways/tool/test_built_in.py`; here is what they say."""

import msgspec
import pytest

from ringfence.enforcement.built_in import DEFINITIONS, answered


@pytest.mark.parametrize("name", DEFINITIONS)
def test_every_definition_tells_a_model_all_it_needs(name: str) -> None:
    definition = msgspec.json.decode(DEFINITIONS[name])
    assert definition["name"] == name
    assert len(definition["description"]) > 60
    schema = definition["inputSchema"]
    assert schema["type"] == "object"
    assert schema["additionalProperties"] is False
    assert all(each["description"] for each in schema["properties"].values())
    assert set(schema["required"]) <= set(schema["properties"])


def test_a_person_who_says_nothing_has_still_answered() -> None:
    [part] = msgspec.json.decode(answered(""))["content"]
    assert "agreed" in part["text"]
