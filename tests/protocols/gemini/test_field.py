"""Each row of the two field tables decides as it says, allowing and denying."""

import json

import pytest

from ringfence.domain.exchange import Feature, ModelRequest
from ringfence.protocols.field import Field, Meaning
from ringfence.protocols.gemini import GeminiCodec
from ringfence.protocols.gemini.field import CONFIG, FIELDS

CODEC = GeminiCodec()
UNGOVERNED = {Meaning.READ, Meaning.FREE}

# For each governed field: the value that must be noted, how it is shown, and harmless values.
TOP: dict[str, tuple[object, str, list[object]]] = {
    "cachedContent": ("cachedContents/1", "cachedContents/1", []),
    "serviceTier": ("priority", "priority", ["standard", "SERVICE_TIER_STANDARD", "unspecified"]),
}
INNER: dict[str, tuple[object, str, list[object]]] = {
    "responseModalities": (["TEXT", "AUDIO"], "", [["TEXT"], ["text"], []]),
    "speechConfig": ({}, "", []),
    "imageConfig": ({"imageSize": "4K"}, "", []),
    "mediaResolution": (
        "MEDIA_RESOLUTION_HIGH",
        "MEDIA_RESOLUTION_HIGH",
        ["MEDIA_RESOLUTION_LOW", "media_resolution_medium"],
    ),
    "routingConfig": ({}, "", []),
    "modelSelectionConfig": ({}, "", []),
}


def parse(**fields: object) -> ModelRequest:
    return CODEC.parse(json.dumps({"contents": [], **fields}).encode(), path_model="m")


def governed(request: ModelRequest) -> tuple[Feature, ...]:
    return request.priced_fields + request.outside_inputs + request.hosted_tools


def test_every_row_has_a_reason_and_every_governed_row_is_tried_here() -> None:
    assert all(row.reason for row in FIELDS.rows + CONFIG.rows)
    assert {row.name for row in FIELDS.rows if row.meaning not in UNGOVERNED} == set(TOP)
    assert {row.name for row in CONFIG.rows if row.meaning not in UNGOVERNED} == set(INNER)


@pytest.mark.parametrize("row", [row for row in FIELDS.rows if row.meaning is Meaning.FREE])
def test_a_free_field_passes(row: Field) -> None:
    assert not governed(parse(**{row.name: {"x": 1}}))


@pytest.mark.parametrize("row", [row for row in CONFIG.rows if row.meaning is Meaning.FREE])
def test_a_free_member_of_the_configuration_passes(row: Field) -> None:
    assert not governed(parse(generationConfig={row.name: {"x": 1}}))


@pytest.mark.parametrize("name", TOP)
def test_a_governed_field_is_named(name: str) -> None:
    value, shown, harmless = TOP[name]
    assert governed(parse(**{name: value})) == (Feature(name, shown),)
    for other in [*harmless, None]:
        assert not governed(parse(**{name: other}))


@pytest.mark.parametrize("name", INNER)
def test_a_governed_member_of_the_configuration_is_named(name: str) -> None:
    value, shown, harmless = INNER[name]
    assert governed(parse(generationConfig={name: value})) == (Feature(name, shown),)
    for other in [*harmless, None]:
        assert not governed(parse(generationConfig={name: other}))


def test_kept_input_is_an_object_of_the_provider() -> None:
    assert parse(cached_content="cachedContents/1").provider_objects == ("cachedContents/1",)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"newField": 1}, "newField"),
        ({"Contents": []}, "Contents"),
        ({"generationConfig": {"newField": 1}}, "newField"),
        ({"generation_config": {"translation_config": {}}}, "translationConfig"),
    ],
)
def test_a_field_that_no_table_names_may_change_the_price(
    fields: dict[str, object], name: str
) -> None:
    assert [feature.name for feature in parse(**fields).priced_fields] == [name]
