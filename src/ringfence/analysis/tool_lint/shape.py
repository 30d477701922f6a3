"""What a tool takes and gives: parameters that explain themselves, answers that end."""

import json
import re
from collections.abc import Iterator, Mapping
from typing import Final

from ringfence.analysis.tool_lint.finding import Finding, Severity
from ringfence.domain.tool import ToolDefinition

MOST_PARAMETERS: Final = 12
DEEPEST: Final = 3

_LISTS: Final = re.compile(r"(^|_)(list|search|find|query|browse|all|export|dump|logs?)(_|$)")
_BOUNDS: Final = frozenset(
    {"limit", "page", "page_size", "pagesize", "per_page", "cursor", "offset", "count", "max"}
    | {"max_results", "maxresults", "top", "first", "last", "size", "head", "n", "num_results"}
    | {"after", "before", "max_length", "maxlength"}
)
_READS: Final = re.compile(r"(^|_)(get|list|search|find|read|show|describe|fetch|query|count)(_|$)")
_HARMS: Final = re.compile(
    r"(^|_)(delete|remove|drop|purge|destroy|cancel|refund|pay|send|transfer|overwrite|kill)(_|$)"
)
_CHOICES: Final = re.compile(
    r"(?:one of|either|must be|allowed values?(?: are)?|valid values?(?: are)?|options?(?: are)?|"
    r"can be)\s*:?\s*((?:[\"'`]?[\w-]+[\"'`]?\s*(?:,|\||/|\bor\b|\band\b)\s*)+"
    r"(?:or\s+)?[\"'`]?[\w-]+[\"'`]?)",
    re.IGNORECASE,
)
_WORD: Final = re.compile(r"[\w-]+")
_JOINING: Final = frozenset({"or", "and"})
_Json = Mapping[str, object]


def parameters(tool: ToolDefinition) -> Iterator[Finding]:
    """Every parameter has a type and says what it is; there are not too many of them."""
    name, properties = tool.key.name, _properties(tool.input_schema)
    if len(properties) > MOST_PARAMETERS:
        yield Finding(
            rule="many_parameters",
            severity=Severity.WARNING,
            tool=name,
            what=f"it takes {len(properties)} parameters; models mix up more than a dozen",
            fix="split the tool, or hide parameters with defaults in a view",
            place="inputSchema",
        )
    for parameter, schema in properties.items():
        yield from _parameter(name, parameter, schema)
    if _depth(json.loads(tool.input_schema)) > DEEPEST:
        yield Finding(
            rule="deep_schema",
            severity=Severity.WARNING,
            tool=name,
            what=f"its arguments are nested more than {DEEPEST} levels deep",
            fix="take ids or plain values, and let the server put them together",
            place="inputSchema",
        )


def _parameter(tool: str, parameter: str, schema: object) -> Iterator[Finding]:
    members: _Json = schema if isinstance(schema, dict) else {}
    place = f"inputSchema.properties.{parameter}"
    described = members.get("description")
    if not isinstance(described, str) or not described.strip():
        yield Finding(
            rule="parameter_undescribed",
            severity=Severity.WARNING,
            tool=tool,
            what=f"`{parameter}` has no description",
            fix="say what it is, in which unit or form, with an example",
            place=place,
        )
    if not members.keys() & {"type", "enum", "const", "anyOf", "oneOf", "allOf", "$ref"}:
        yield Finding(
            rule="parameter_untyped",
            severity=Severity.WARNING,
            tool=tool,
            what=f"`{parameter}` may be anything",
            fix='give it a `"type"`',
            place=place,
        )
    if members.get("type") == "string" and not members.keys() & {"enum", "const", "pattern"}:
        choices = _choices(described if isinstance(described, str) else "")
        if choices:
            yield Finding(
                rule="enum_known",
                severity=Severity.WARNING,
                tool=tool,
                what=f"`{parameter}` is free text, but its description lists what is allowed",
                fix=f'add `"enum": {json.dumps(choices)}`, in the schema or in a view',
                place=place,
            )


def annotations(tool: ToolDefinition) -> Iterator[Finding]:
    """Hints that say whether a tool only reads; without them the protocol assumes the worst."""
    said = dict(tool.annotations)
    name = tool.key.name
    if "readOnlyHint" not in said and "destructiveHint" not in said:
        yield Finding(
            rule="no_annotations",
            severity=Severity.NOTE,
            tool=name,
            what="nothing says whether it only reads: clients must assume that it destroys",
            fix="set `readOnlyHint`, and `destructiveHint` if it writes",
            place="annotations",
        )
    if said.get("readOnlyHint") is True and _HARMS.search(name):
        yield Finding(
            rule="annotation_doubtful",
            severity=Severity.ERROR,
            tool=name,
            what="it says that it only reads, and its name says otherwise",
            fix="correct `readOnlyHint`; name its tier in the configuration, which alone counts",
            place="annotations.readOnlyHint",
        )


def outputs(tool: ToolDefinition) -> Iterator[Finding]:
    """A tool that lists things must have an end."""
    name = tool.key.name
    plain = {each.casefold().replace("-", "_") for each in _properties(tool.input_schema)}
    if _LISTS.search(name) and plain.isdisjoint(_BOUNDS):
        yield Finding(
            rule="unbounded_output",
            severity=Severity.WARNING,
            tool=name,
            what="it lists things, and nothing bounds how many",
            fix="add `limit` and `cursor`; until then bound it with `result_bytes`",
            place="inputSchema",
        )
    if not tool.output_schema and _READS.search(name):
        yield Finding(
            rule="no_output_schema",
            severity=Severity.NOTE,
            tool=name,
            what="nothing says what it gives back, so that nothing can check it",
            fix="declare an `outputSchema`",
        )


def _choices(text: str) -> list[str]:
    """The values that a text lists: `one of: a, b or c`."""
    match = _CHOICES.search(text)
    if match is None:
        return []
    words = [word for word in _WORD.findall(match[1]) if word.casefold() not in _JOINING]
    return list(dict.fromkeys(words)) if len(words) > 1 else []


def _properties(schema: bytes) -> _Json:
    whole = json.loads(schema)
    found = whole.get("properties") if isinstance(whole, dict) else None
    return found if isinstance(found, dict) else {}


def _depth(schema: object, most: int = 8) -> int:
    """How many objects or arrays stand within each other."""
    if not isinstance(schema, dict) or not most:
        return 0
    inner: list[object] = [schema.get("items")]
    properties = schema.get("properties")
    if isinstance(properties, dict):
        inner += properties.values()
    for key in ("anyOf", "oneOf", "allOf"):
        many = schema.get(key)
        inner += many if isinstance(many, list) else []
    is_holder = isinstance(properties, dict) or "items" in schema
    return int(is_holder) + max((_depth(each, most - 1) for each in inner), default=0)
