"""What providers refuse in the schema of a tool; one rule is one generator of objections.

Sources: the providers' own messages, as users have reported them; each test names its report.
"""

import re
from collections.abc import Callable, Iterator
from typing import Final

from ringfence.analysis.tool_dialect.objection import Fix, Objection, Schema, walk

Rule = Callable[[Schema], Iterator[Objection]]

COMBINATORS: Final = ("oneOf", "anyOf", "allOf")
_TYPES: Final = frozenset({"object", "array", "string", "number", "integer", "boolean", "null"})
_LARGEST_I32: Final = 2**31 - 1
_BOUNDS: Final = (
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minProperties",
    "maxProperties",
)
_UNICODE_CLASS: Final = re.compile(r"\\[pP]\{")


def root_object(schema: Schema) -> Iterator[Objection]:
    """The outermost schema must say `type: object`."""
    kind = schema.get("type")
    if kind == "object":
        return
    is_lost = kind is None or kind == [] or (isinstance(kind, list) and "object" in kind)
    yield Objection(
        rule="root_type",
        path=(),
        what=f"the schema must be of type `object`, not {_shown(kind)}",
        help='begin the schema with `"type": "object"`',
        fix=Fix.ROOT_OBJECT if is_lost else Fix.NONE,
    )


def root_combinators(schema: Schema) -> Iterator[Objection]:
    """Alternatives may stand within properties, but not at the root."""
    for key in COMBINATORS:
        if key in schema:
            yield Objection(
                rule="root_combinator",
                path=(key,),
                what=f"the schema has `{key}` at the top level",
                help="list all properties in one object, and say in words which go together",
                fix=Fix.FOLD,
                key=key,
            )


def root_choices(schema: Schema) -> Iterator[Objection]:
    """Neither `enum` nor `not` at the root."""
    for key in ("enum", "not"):
        if key in schema:
            yield Objection(
                rule="root_combinator",
                path=(key,),
                what=f"the schema has `{key}` at the top level",
                help="say it of a property",
                fix=Fix.TELL,
                key=key,
            )


def root_properties(schema: Schema) -> Iterator[Objection]:
    """An object must list its properties, even if there are none."""
    if schema.get("type") == "object" and not isinstance(schema.get("properties"), dict):
        is_absent = schema.get("properties") is None
        yield Objection(
            rule="no_properties",
            path=(),
            what="the object schema has no `properties`",
            help='add `"properties": {}`',
            fix=Fix.PROPERTIES if is_absent else Fix.NONE,
        )


def array_items(schema: Schema) -> Iterator[Objection]:
    """An array must say what it holds, also where it is one of several types."""
    for path, each in walk(schema):
        kind = each.get("type")
        kinds = kind if isinstance(kind, list) else [kind]
        if "array" in kinds and "items" not in each:
            yield Objection(
                rule="array_items",
                path=path,
                what="an array does not say what it holds",
                help='add `"items"`, for example `{"type": "string"}`',
                fix=Fix.ITEMS,
            )


def patterns(schema: Schema) -> Iterator[Objection]:
    """A pattern must be a regular expression in every language."""
    for path, each in walk(schema):
        pattern = each.get("pattern")
        if isinstance(pattern, str) and not _is_portable(pattern):
            yield Objection(
                rule="pattern",
                path=path,
                what=f"the pattern `{pattern}` is not a regular expression to every provider",
                help=r"write it without `\p{…}` and look-behind, or describe it in words",
                fix=Fix.TELL,
                key="pattern",
            )


def old_bounds(schema: Schema) -> Iterator[Objection]:
    """`exclusiveMinimum: true` is of draft 4; newer drafts want a number there."""
    for path, each in walk(schema):
        for key in ("exclusiveMinimum", "exclusiveMaximum"):
            if isinstance(each.get(key), bool):
                yield Objection(
                    rule="boolean_bound",
                    path=(*path, key),
                    what=f"`{key}` must be a number, not {_shown(each[key])}",
                    help=f"give `{key}` the number, and leave `minimum` or `maximum` out",
                    fix=Fix.BOUND,
                    key=key,
                )


def forms(schema: Schema) -> Iterator[Objection]:
    """What is no JSON Schema of 2020-12 at all."""
    for path, each in walk(schema):
        properties = each.get("properties")
        if isinstance(properties, dict):
            for name, inner in properties.items():
                if not isinstance(inner, dict | bool):
                    yield Objection(
                        rule="not_a_schema",
                        path=(*path, "properties", name),
                        what=f"`{name}` is {_shown(inner)} where a schema must be",
                        help='write an object there, for example `{"type": "string"}`',
                    )
        if isinstance(each.get("items"), list):
            yield Objection(
                rule="tuple_items",
                path=(*path, "items"),
                what="`items` is a list, as drafts before 2020-12 had it",
                help="write `prefixItems`",
                fix=Fix.TUPLE,
            )
        yield from _required(path, each)
        yield from _type(path, each)


def _required(path: tuple[str | int, ...], each: Schema) -> Iterator[Objection]:
    required = each.get("required")
    if required is None and "required" not in each:
        return
    if isinstance(required, list) and all(isinstance(name, str) for name in required):
        return
    is_flag = isinstance(required, bool) and len(path) > 1 and path[-2] == "properties"
    yield Objection(
        rule="required_form",
        path=(*path, "required"),
        what=f"`required` must be a list of names, not {_shown(required)}",
        help="name the required properties in the object that has them",
        fix=Fix.REQUIRED_FLAG if is_flag else Fix.NONE,
    )


def _type(path: tuple[str | int, ...], each: Schema) -> Iterator[Objection]:
    if "type" not in each or not path:  # the root's is another rule's
        return
    kind = each["type"]
    kinds = kind if isinstance(kind, list) else [kind]
    if not kinds or not all(isinstance(one, str) and one in _TYPES for one in kinds):
        yield Objection(
            rule="type_unknown",
            path=(*path, "type"),
            what=f"{_shown(kind)} is not a type of JSON Schema",
            help="use object, array, string, number, integer, boolean or null",
        )


def large_numbers(schema: Schema) -> Iterator[Objection]:
    """Bedrock reads bounds as 32-bit integers."""
    for path, each in walk(schema):
        for key in _BOUNDS:
            bound = each.get(key)
            if type(bound) is int and abs(bound) > _LARGEST_I32:
                yield Objection(
                    rule="number_too_large",
                    path=(*path, key),
                    what=f"{bound} is too large for a bound (`int too big to convert`)",
                    help="leave the bound out, or describe it in words",
                    fix=Fix.TELL,
                    key=key,
                )


def strict_openai(schema: Schema) -> Iterator[Objection]:
    """What only OpenAI's strict mode demands."""
    for path, each in walk(schema):
        for key in (
            "oneOf",
            "allOf",
            "not",
            "if",
            "then",
            "else",
            "dependentRequired",
            "dependentSchemas",
            "patternProperties",
        ):
            if key in each:
                yield _strict((*path, key), f"`{key}` has no place in strict mode")
        properties = each.get("properties")
        if each.get("type") == "object" or isinstance(properties, dict):
            yield from _strict_object(path, each)
        is_property = len(path) > 1 and path[-2] == "properties"
        if is_property and not each.keys() & {"type", "anyOf", "$ref", "enum", "const"}:
            yield _strict(path, "the schema must have a `type` in strict mode")


def _strict_object(path: tuple[str | int, ...], each: Schema) -> Iterator[Objection]:
    if each.get("additionalProperties") is not False:
        yield _strict(path, "`additionalProperties` must be false in strict mode")
    properties, required = each.get("properties"), each.get("required")
    names = list(properties) if isinstance(properties, dict) else []
    needed = required if isinstance(required, list) else []
    missing = [name for name in names if name not in needed]
    if missing:
        yield _strict(path, f"`{missing[0]}` must be in `required` in strict mode")


def strict_anthropic(schema: Schema) -> Iterator[Objection]:
    """What only Anthropic's strict mode demands."""
    refused = ("minimum", "maximum", "multipleOf", "minLength", "maxLength", "maxItems")
    for path, each in walk(schema):
        if each.get("type") == "object" and each.get("additionalProperties") is not False:
            yield _strict(path, "`additionalProperties` must be false in strict mode")
        for key in refused:
            if key in each:
                yield _strict((*path, key), f"`{key}` has no place in strict mode")
        least = each.get("minItems")
        if least is not None and least not in (0, 1):
            yield _strict((*path, "minItems"), "`minItems` may only be 0 or 1 in strict mode")


def _strict(path: tuple[str | int, ...], what: str) -> Objection:
    return Objection(
        rule="strict",
        path=path,
        what=what,
        help="change the schema, or declare the tool without `strict`",
        fix=Fix.NOT_STRICT,
    )


_GEMINI: Final = frozenset(
    {
        "type",
        "format",
        "title",
        "description",
        "nullable",
        "default",
        "example",
        "enum",
        "items",
        "minItems",
        "maxItems",
        "properties",
        "required",
        "minProperties",
        "maxProperties",
        "propertyOrdering",
        "minimum",
        "maximum",
        "minLength",
        "maxLength",
        "pattern",
        "anyOf",
    }
)
"""`Schema` of the Gemini API before 2026; later fields are unknown to servers that are not new."""
_GEMINI_FORMATS: Final = frozenset({"enum", "date-time"})


def gemini_subset(schema: Schema) -> Iterator[Objection]:
    """`parameters` is OpenAPI 3.0's subset: everything else is an unknown name."""
    for path, each in walk(schema):
        for key in each:
            if key not in _GEMINI and not key.startswith("x-"):
                yield _gemini((*path, key), f"unknown name `{key}` in `parameters`")
        if isinstance(each.get("type"), list):
            yield _gemini((*path, "type"), "`type` cannot be a list in `parameters`")
        choices = each.get("enum")
        if isinstance(choices, list) and not all(isinstance(one, str) for one in choices):
            yield _gemini((*path, "enum"), "`enum` can only hold texts in `parameters`")
        kind, form = str(each.get("type", "")).lower(), each.get("format")
        if kind == "string" and form is not None and form not in _GEMINI_FORMATS:
            what = f"`format` of a text can only be `enum` or `date-time`, not {_shown(form)}"
            yield _gemini((*path, "format"), what)


def _gemini(path: tuple[str | int, ...], what: str) -> Objection:
    return Objection(
        rule="gemini_subset",
        path=path,
        what=what,
        help="send the schema as `parametersJsonSchema`",
        fix=Fix.JSON_SCHEMA,
    )


def _is_portable(pattern: str) -> bool:
    if _UNICODE_CLASS.search(pattern):
        return False
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError):
        return False
    return True


def _shown(value: object) -> str:
    match value:
        case None:
            return "nothing"
        case str():
            return f"`{value[:60]}`"
        case bool():
            return f"`{str(value).lower()}`"
        case list():
            return "a list"
        case dict():
            return "an object"
        case _:
            return f"`{value}`"
