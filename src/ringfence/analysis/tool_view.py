"""Views of tools: what clients see of a definition, and what the server gets for what they send."""

import json
from dataclasses import replace
from fnmatch import fnmatchcase
from typing import Final

import msgspec

from ringfence.analysis.tool_pin import canonical
from ringfence.domain.error import PeerError, UsageError
from ringfence.domain.tool import ToolDefinition, ToolKey
from ringfence.domain.tool_view import ParameterView, ToolView

_ARGUMENTS: Final = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODER: Final = msgspec.json.Encoder()
_Json = dict[str, object]


def view(definition: ToolDefinition, seen: ToolView) -> ToolDefinition:
    """The definition as clients see it; every field that the view does not name stays.

    Raises UsageError `view_unfit` if the view names what the tool does not have.
    """
    members = _object(json.loads(definition.raw))
    members["name"] = seen.shown
    if seen.title:
        members["title"] = seen.title
    if seen.description:
        members["description"] = seen.description
    schema = _object(members.get("inputSchema"))
    if seen.steps:  # its result is that of several tools
        members.pop("outputSchema", None)
    if seen.parameters:
        schema = members["inputSchema"] = _narrowed(schema, seen)
    return replace(
        definition,
        key=ToolKey(server=definition.key.server, name=seen.tool),
        raw=_ENCODER.encode(members),
        title=seen.title or definition.title,
        description=seen.description or definition.description,
        input_schema=canonical(schema) if seen.parameters else definition.input_schema,
        output_schema=b"" if seen.steps else definition.output_schema,
    )


def inward(seen: ToolView, arguments: bytes) -> bytes:
    """What the server gets for the arguments that a client sent: an object, read strictly before.

    Values keep their bytes. Raises PeerError `arguments_invalid` for what clients are not shown.
    """
    if not seen.parameters:
        return arguments
    given = _ARGUMENTS.decode(arguments)
    known = {each.shown: each for each in seen.parameters}
    sent: dict[str, msgspec.Raw] = {}
    for name, value in given.items():
        sent[_own_name(name, value, known, seen)] = value
    for each in seen.parameters:
        if each.default and (each.is_hidden or each.parameter not in sent):
            sent[each.parameter] = msgspec.Raw(each.default)
    return _ENCODER.encode(sent)


def outward(seen: ToolView, text: str) -> str:
    """What the model is told for an error text of the server; the first that fits counts."""
    for each in seen.errors:
        if fnmatchcase(text, each.match):
            return each.say.replace("{error}", text)
    return text


def _own_name(name: str, value: bytes, known: dict[str, ParameterView], seen: ToolView) -> str:
    each = known.get(name)
    if each is None:
        hidden = {own.parameter for own in seen.parameters if own.shown != own.parameter}
        if name in hidden:
            raise _refused(f"`{seen.shown}` has no parameter `{name}`")
        return name
    if each.is_hidden:
        raise _refused(f"`{seen.shown}` has no parameter `{name}`")
    if each.choices and not _is_one(value, each.choices):
        allowed = ", ".join(choice.decode() for choice in each.choices)
        raise _refused(f"`{name}` of `{seen.shown}` must be one of {allowed}")
    return each.parameter


def _is_one(value: bytes, choices: tuple[bytes, ...]) -> bool:
    """Compare values and not their spelling: `"a"` may be written with an escape."""
    given = json.loads(bytes(value))
    return any(type(given) is type(one) and given == one for one in map(json.loads, choices))


def _refused(message: str) -> PeerError:
    return PeerError("arguments_invalid", message)


def _narrowed(schema: _Json, seen: ToolView) -> _Json:
    """The schema of what clients send. INVARIANT: what it allows, `inward` makes sense of."""
    properties = dict(_object(schema.get("properties")))
    required = [name for name in _items(schema.get("required")) if isinstance(name, str)]
    renamed: dict[str, str | None] = {}
    for each in seen.parameters:
        if each.parameter not in properties:
            raise _unfit(seen, f"has no parameter `{each.parameter}`")
        if each.is_hidden and not each.default and each.parameter in required:
            what = f"requires `{each.parameter}`, which is hidden and has no default"
            raise _unfit(seen, what)
        properties[each.parameter] = _described(properties[each.parameter], each)
        renamed[each.parameter] = None if each.is_hidden else each.shown
    defaulted = {each.parameter for each in seen.parameters if each.default}
    shown = [name for name in properties if renamed.get(name, name) is not None]
    names = [renamed.get(name) or name for name in shown]
    if len(set(names)) != len(names):
        raise _unfit(seen, "would have two parameters by one name")
    kept = {
        **schema,
        "properties": {renamed.get(name) or name: properties[name] for name in shown},
        "required": [
            renamed.get(name) or name
            for name in required
            if name in shown and name not in defaulted
        ],
    }
    if not kept["required"]:
        del kept["required"]
    # By its own name a parameter that was renamed or hidden must not come through.
    if any(renamed.get(name, name) != name for name in properties):
        kept["additionalProperties"] = False
    return kept


def _described(schema: object, each: ParameterView) -> object:
    if not isinstance(schema, dict):
        schema = {}
    described = dict(schema)
    if each.description:
        described["description"] = each.description
    if each.choices:
        described["enum"] = [json.loads(choice) for choice in each.choices]
    if each.default:
        described["default"] = json.loads(each.default)
    return described


def _object(value: object) -> _Json:
    return value if isinstance(value, dict) else {}


def _items(value: object) -> list[object]:
    return value if isinstance(value, list) else []


def _unfit(seen: ToolView, what: str) -> UsageError:
    return UsageError(
        "view_unfit",
        f"the view `{seen.shown}` does not fit its tool: `{seen.origin}` {what}",
        help="change the view in the configuration, or accept the tool as it is",
    )
