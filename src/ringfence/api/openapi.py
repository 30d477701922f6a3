"""The OpenAPI description, made from the same table that the routes are made from."""

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from ringfence.api.error import ErrorBody
from ringfence.api.route import AnyRoute, Nothing

_REFERENCE = "#/components/schemas/{name}"
_PARAMETER = re.compile(r"\{(\w+)\}")

Document = dict[str, Any]


def describe(routes: Iterable[AnyRoute], version: str) -> Document:
    """An OpenAPI 3.1 document. Source: https://spec.openapis.org/oas/v3.1.1.html."""
    routes = tuple(routes)
    kinds = [ErrorBody, *(each.body for each in routes), *(each.answer for each in routes)]
    unique = list(dict.fromkeys(kind for kind in kinds if kind is not None))
    schemas, components = msgspec.json.schema_components(unique, ref_template=_REFERENCE)
    schema_of = dict(zip(unique, schemas, strict=True))
    paths: Document = {}
    for route in routes:
        operation = _operation(route, schema_of)
        paths.setdefault(route.target, {})[route.method.lower()] = operation
    return {
        "openapi": "3.1.1",
        "info": {"title": "Ringfence control plane", "version": version},
        "security": [{"key": []}],
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(route: AnyRoute, schema_of: dict[Any, Document]) -> Document:
    operation: Document = {
        "summary": route.summary,
        "operationId": _name(route),
        "x-roles": sorted(route.roles),
        "x-open-to-subject": route.is_open_to_subject,
        "parameters": [*_path_parameters(route), *_query_parameters(route)],
        "responses": {
            "default": {"description": "an error", "content": _json(schema_of[ErrorBody])}
        },
    }
    if route.answer is None:
        operation["responses"]["204"] = {"description": "done"}
    else:
        content = {route.media_type: {"schema": schema_of[route.answer]}}
        operation["responses"]["200"] = {"description": "done", "content": content}
    if route.body is not Nothing:
        operation["requestBody"] = {"content": _json(schema_of[route.body])}
    return operation


def _path_parameters(route: AnyRoute) -> list[Document]:
    return [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PARAMETER.findall(route.path)
    ]


def _query_parameters(route: AnyRoute) -> list[Document]:
    (schema,), components = msgspec.json.schema_components([route.query], ref_template=_REFERENCE)
    properties: Document = components[schema["$ref"].rsplit("/", 1)[1]].get("properties", {})
    if not route.is_installation:
        properties = {"organisation": {"type": "string"}, **properties}
    return [{"name": name, "in": "query", "schema": each} for name, each in properties.items()]


def _json(schema: Document) -> Document:
    return {"application/json": {"schema": schema}}


def _name(route: AnyRoute) -> str:
    words = re.findall(r"\w+", route.path)
    return "_".join([route.method.lower(), *words])
