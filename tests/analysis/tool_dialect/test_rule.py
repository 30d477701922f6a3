"""Reports from the field: what was declared, who refused it, where, and how it is mended.

Where a report does not print its schema, a representative one stands here, and its row says so.
"""

from typing import NamedTuple

import pytest

from ringfence.analysis.tool_dialect.check import objections
from ringfence.analysis.tool_dialect.repair import repaired
from ringfence.domain.tool_dialect import ToolDialect as D


class Incident(NamedTuple):
    report: str
    dialect: D
    schema: object
    rule: str
    place: str
    repair: str
    """Part of what is said to have been done; empty where the tool must be left out."""


_EITHER = {"content": {"type": "string"}}, {"source_url": {"type": "string"}}
_NOTION = {
    "type": "object",
    "anyOf": [
        {"type": "object", "properties": _EITHER[0], "required": ["content"]},
        {"type": "object", "properties": _EITHER[1], "required": ["source_url"]},
    ],
}
_AT_LEAST_ONE = {  # representative
    "type": "object",
    "properties": {"id": {"type": "string"}, "path": {"type": "string"}},
    "anyOf": [{"required": ["id"]}, {"required": ["path"]}],
}
_CONST = {
    "type": "object",
    "properties": {"op": {"anyOf": [{"type": "object", "properties": {"kind": {"const": "add"}}}]}},
}


def _of(schema: object) -> dict[str, object]:
    return {"type": "object", "properties": {"x": schema}}


INCIDENTS = [
    Incident(
        "n8n 25276: no type at the root after an upgrade (OpenAI: got 'type: \"None\"')",
        D.OPENAI,
        {"properties": {"input": {"type": "string"}}},
        "root_type",
        "schema",
        "given the type `object`",
    ),
    Incident(
        "n8n 25276: the same (Anthropic: input_schema.type: Field required)",
        D.ANTHROPIC,
        {"properties": {"input": {"type": "string"}}},
        "root_type",
        "schema",
        "given the type `object`",
    ),
    Incident(
        "n8n 29353: an empty schema (representative)",
        D.ANTHROPIC,
        {},
        "root_type",
        "schema",
        "given the type `object`",
    ),
    Incident(
        "n8n 30531: no schema at all (representative)",
        D.OPENAI,
        None,
        "root_type",
        "schema",
        "without arguments",
    ),
    Incident(
        "Flowise 5109: the type of a property was lost on the way (strict)",
        D.OPENAI_STRICT,
        {
            "type": "object",
            "properties": {"tableName": {"description": "Name of the table"}},
            "required": ["tableName"],
            "additionalProperties": False,
        },
        "strict",
        "properties.tableName",
        "sent without `strict`",
    ),
    Incident(
        "n8n-mcp 492: additionalProperties is required to be supplied and to be false",
        D.OPENAI_STRICT,
        {
            "type": "object",
            "properties": {"ops": {"type": "array", "items": {"type": "object", "properties": {}}}},
            "required": ["ops"],
            "additionalProperties": False,
        },
        "strict",
        "properties.ops.items",
        "sent without `strict`",
    ),
    Incident(
        "Zed 45552: unknown name `const`",
        D.GEMINI,
        _CONST,
        "gemini_subset",
        "properties.op.anyOf.0.properties.kind.const",
        "`parametersJsonSchema`",
    ),
    Incident(
        "Zed 44875: `type` is a list (Proto field is not repeating)",
        D.GEMINI,
        _of({"type": ["string", "null"]}),
        "gemini_subset",
        "properties.x.type",
        "`parametersJsonSchema`",
    ),
    Incident(
        "Zed 32429: `$schema` (representative)",
        D.GEMINI,
        {"$schema": "http://json-schema.org/draft-07/schema#", **_of({"type": "string"})},
        "gemini_subset",
        "$schema",
        "`parametersJsonSchema`",
    ),
    Incident(
        "Zed 52670: `propertyNames` (representative)",
        D.GEMINI,
        _of({"type": "object", "propertyNames": {"type": "string"}}),
        "gemini_subset",
        "properties.x.propertyNames",
        "`parametersJsonSchema`",
    ),
    Incident(
        "Zed 53834: an array without items (representative)",
        D.OPENAI,
        _of({"type": "array"}),
        "array_items",
        "properties.x",
        "given items of any kind",
    ),
    Incident(
        "the same in a union of types",
        D.OPENAI,
        _of({"type": ["array", "null"]}),
        "array_items",
        "properties.x",
        "given items of any kind",
    ),
    Incident(
        "Zed 60474: a pattern with Unicode classes is not a 'regex'",
        D.OPENAI,
        _of({"type": "string", "pattern": r"^[\p{L}\p{N}_. ()-]+$"}),
        "pattern",
        "properties.x",
        "told in the description",
    ),
    Incident(
        "OpenAI Agents SDK 449: object schema missing properties",
        D.OPENAI,
        {"$schema": "http://json-schema.org/draft-07/schema#", "title": "Empty", "type": "object"},
        "no_properties",
        "schema",
        "given an empty list of properties",
    ),
    Incident(
        "OpenAI Agents SDK 4151: strict with alternatives (representative)",
        D.OPENAI_STRICT,
        {**_of({"oneOf": [{"type": "string"}]}), "required": ["x"], "additionalProperties": False},
        "strict",
        "properties.x.oneOf",
        "sent without `strict`",
    ),
    Incident(
        "langchain 39271: Notion's server changed overnight",
        D.ANTHROPIC,
        _NOTION,
        "root_combinator",
        "anyOf",
        "merged into one object",
    ),
    Incident(
        "notion-mcp-server 340: OpenAI refuses the same",
        D.OPENAI,
        _NOTION,
        "root_combinator",
        "anyOf",
        "merged into one object",
    ),
    Incident(
        "gitlab-mcp 552: 2.1.25 has alternatives at the root",
        D.ANTHROPIC,
        _AT_LEAST_ONE,
        "root_combinator",
        "anyOf",
        "merged into one object",
    ),
    Incident(
        "gitlab-mcp 550: the same on Bedrock",
        D.BEDROCK,
        _AT_LEAST_ONE,
        "root_combinator",
        "anyOf",
        "merged into one object",
    ),
    Incident(
        "forgecode 3307: int too big to convert",
        D.BEDROCK,
        _of({"type": "integer", "maximum": 9007199254740991}),
        "number_too_large",
        "properties.x.maximum",
        "told in the description",
    ),
    Incident(
        "Bedrock: type must be exactly `object`",
        D.BEDROCK,
        {"type": ["object", "null"], "properties": {}},
        "root_type",
        "schema",
        "given the type `object`",
    ),
    Incident(
        "ayunis-core 975: True is not of type 'number'",
        D.MISTRAL,
        _of({"type": "integer", "minimum": 0, "exclusiveMinimum": True}),
        "boolean_bound",
        "properties.x.exclusiveMinimum",
        "given the bound as a number",
    ),
    Incident(
        "Dokploy 74: Anthropic refuses draft 4's bound too",
        D.ANTHROPIC,
        _of({"type": "integer", "exclusiveMinimum": True, "minimum": 0}),
        "boolean_bound",
        "properties.x.exclusiveMinimum",
        "given the bound as a number",
    ),
    Incident(
        "pencil: 'object' is not of type 'object', 'boolean'",
        D.OPENAI,
        {"type": "object", "properties": {"parents": {"type": "string"}, "type": "object"}},
        "not_a_schema",
        "properties.type",
        "",
    ),
    Incident(
        "mcp-graphql 14: 'any' is no type",
        D.ANTHROPIC,
        _of({"type": "any"}),
        "type_unknown",
        "properties.x.type",
        "",
    ),
    Incident(
        "draft 3: a property says that it is required (representative)",
        D.ANTHROPIC,
        _of({"type": "string", "required": True}),
        "required_form",
        "properties.x.required",
        "named as required",
    ),
    Incident(
        "an older draft's list of items (representative)",
        D.ANTHROPIC,
        _of({"type": "array", "items": [{"type": "string"}]}),
        "tuple_items",
        "properties.x.items",
        "written as `prefixItems`",
    ),
    Incident(
        "spring-ai-alibaba 4576: the root is a string",
        D.OPENAI,
        {"type": "string"},
        "root_type",
        "schema",
        "",
    ),
    Incident(
        "alternatives that are no objects cannot be merged",
        D.ANTHROPIC,
        {"type": "object", "oneOf": [{"$ref": "#/$defs/a"}]},
        "root_combinator",
        "oneOf",
        "",
    ),
    Incident(
        "Gemini: a number among the choices",
        D.GEMINI,
        _of({"enum": [1, 2]}),
        "gemini_subset",
        "properties.x.enum",
        "`parametersJsonSchema`",
    ),
    Incident(
        "Gemini: a format that it does not know",
        D.GEMINI,
        _of({"type": "string", "format": "uri"}),
        "gemini_subset",
        "properties.x.format",
        "`parametersJsonSchema`",
    ),
    Incident(
        "Anthropic's strict mode: a bound",
        D.ANTHROPIC_STRICT,
        {**_of({"type": "string", "minLength": 2}), "additionalProperties": False},
        "strict",
        "properties.x.minLength",
        "sent without `strict`",
    ),
]


@pytest.mark.parametrize("incident", INCIDENTS, ids=[each.report for each in INCIDENTS])
def test_what_broke_agents_in_the_field_is_found_and_mended(incident: Incident) -> None:
    found = objections(incident.dialect, "tool", incident.schema)
    assert (incident.rule, incident.place) in [(each.rule, each.place) for each in found]
    assert all(each.help and each.what for each in found)
    mended = repaired(incident.dialect, "tool", incident.schema)
    if not incident.repair:
        assert mended is None
        return
    assert mended is not None
    assert any(incident.repair in done for done in mended.done)
    assert objections(mended.dialect, "tool", mended.schema) == ()


def test_every_dialect_has_an_incident() -> None:
    assert {each.dialect for each in INCIDENTS} == set(D) - {D.GEMINI_JSON}
