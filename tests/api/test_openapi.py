import re

import pytest
from tests.api.plane import Plane

from ringfence.api.application import ROUTES
from ringfence.api.route import AnyRoute


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_every_route_is_described(plane: Plane, route: AnyRoute) -> None:
    document = plane.ask("GET", "openapi.json").json()
    operation = document["paths"][route.target][route.method.lower()]
    assert operation["summary"].endswith(".")
    assert operation["x-roles"] == sorted(route.roles)
    named = {each["name"] for each in operation["parameters"] if each["in"] == "path"}
    assert named == set(re.findall(r"{(\w+)}", route.path))
    asked = {each["name"] for each in operation["parameters"] if each["in"] == "query"}
    assert asked >= set(route.query.__struct_fields__)
    assert ("organisation" in asked) is not route.is_installation


def test_nothing_else_is_described_and_every_reference_leads_somewhere(plane: Plane) -> None:
    answer = plane.ask("GET", "openapi.json")
    document = answer.json()
    described = {
        (method.upper(), path) for path, each in document["paths"].items() for method in each
    }
    assert described == {(route.method, route.target) for route in ROUTES}
    schemas = document["components"]["schemas"]
    references = re.findall(rb'"#/components/schemas/([^"]+)"', answer.body)
    assert references
    assert {each.decode() for each in references} <= set(schemas)
    assert document["security"] == [{"key": []}]


def test_operation_ids_are_unique(plane: Plane) -> None:
    paths = plane.ask("GET", "openapi.json").json()["paths"]
    names = [each["operationId"] for path in paths.values() for each in path.values()]
    assert len(names) == len(set(names))
