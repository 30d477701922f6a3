"""The schema that policies are validated against, generated from what the organisation defines.

Source: https://docs.cedarpolicy.com/schema/json-schema.html.
"""

from collections.abc import Mapping

from ringfence.decisions.policy.engine import Json
from ringfence.decisions.policy.entity import RESOURCES
from ringfence.decisions.policy.fact import TYPES
from ringfence.decisions.policy.rule import ARGUMENTS, PATTERN
from ringfence.decisions.policy.shape import EMPTY, Kind, Member, Shape, cedar_type
from ringfence.domain.action import ActionKind

_TEXT = Shape(kind=Kind.TEXT)
_TEXTS = Shape(kind=Kind.SET, element=_TEXT)
_FLAG = Shape(kind=Kind.FLAG)
_WHOLE = Shape(kind=Kind.WHOLE)


def _record(*, certain: bool, **members: Shape) -> Shape:
    made = {name: Member(shape=each, is_required=certain) for name, each in members.items()}
    return Shape(kind=Kind.RECORD, members=made)


ARGUMENTS_OF: Mapping[ActionKind, Shape] = {
    ActionKind.MODEL_CALL: Shape(
        kind=Kind.RECORD,
        members={
            "operation": Member(shape=_TEXT, default="chat"),
            "stream": Member(shape=_FLAG, default=False),
            "tools": Member(shape=_TEXTS, default=()),
            "hosted_tools": Member(shape=_TEXTS, default=()),
        },
    ),
    ActionKind.TOOL_CALL: EMPTY,
    ActionKind.HTTP_REQUEST: _record(
        certain=False, method=_TEXT, scheme=_TEXT, port=_WHOLE, path=_TEXT
    ),
    ActionKind.SHELL_EXEC: _record(
        certain=False, path=_TEXT, line=_TEXT, argv=_TEXTS, directory=_TEXT
    ),
    ActionKind.AGENT_CALL: _record(certain=False, task=_TEXT),
}
"""The arguments of actions that no server describes; those of a tool are its own."""

METHODS: Mapping[str, Shape] = {
    "resources/read": _record(certain=True, uri=_TEXT),
    "resources/subscribe": _record(certain=True, uri=_TEXT),
    "resources/unsubscribe": _record(certain=True, uri=_TEXT),
    "prompts/get": _record(certain=True, name=_TEXT),
}
"""The parameters of what servers offer besides tools, by method (MCP 2025-11-25, "Server")."""

_STRING: Json = {"type": "String"}
_AGENT: Json = {
    "type": "Record",
    "attributes": dict.fromkeys(("name", "category", "owner", "version", "autonomy"), _STRING),
}


def schema(arguments: Shape) -> Json:
    """The whole schema, with these arguments for tool calls."""
    actions = {
        kind.value: _action(kind, arguments if kind is ActionKind.TOOL_CALL else shape)
        for kind, shape in ARGUMENTS_OF.items()
    }
    return {"": {"entityTypes": _ENTITIES, "actions": actions}}


def _action(kind: ActionKind, arguments: Shape) -> Json:
    held = cedar_type(arguments) or cedar_type(EMPTY)
    return {
        "appliesTo": {
            "principalTypes": ["Agent"],
            "resourceTypes": [RESOURCES[kind]],
            "context": {"type": "Record", "attributes": {**TYPES, ARGUMENTS: held}},
        }
    }


def _kind(groups: list[str], **attributes: Json) -> Json:
    return {"memberOfTypes": groups, "shape": {"type": "Record", "attributes": attributes}}


_ENTITIES: Json = {
    "Agent": {"memberOfTypes": ["Team", PATTERN], "shape": _AGENT},
    "Team": {},
    "Model": _kind(["Provider", PATTERN], name=_STRING, provider=_STRING),
    "Provider": {},
    "Tool": _kind(
        ["Server", PATTERN],
        name=_STRING,
        server=_STRING,
        labels={"type": "Set", "element": _STRING},
    ),
    "Server": {},
    "Host": _kind([PATTERN], name=_STRING, is_private={"type": "Boolean"}),
    "Command": _kind([PATTERN], name=_STRING),
    PATTERN: {},
}
