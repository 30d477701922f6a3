import pytest
from msgspec import structs
from tests.api.plane import Plane

from ringfence.api.access import Person
from ringfence.api.application import ROUTES
from ringfence.api.route import Call, Nothing, Paging


def test_method_and_path_name_one_route() -> None:
    names = [(route.method, route.path) for route in ROUTES]
    assert len(names) == len(set(names))


def test_every_listing_is_paged() -> None:
    lists = [route for route in ROUTES if str(route.answer).startswith("ringfence.api.route.Page")]
    assert len(lists) == 18
    paging = {(field.name, field.type, field.default) for field in structs.fields(Paging)}
    for route in lists:
        fields = structs.fields(route.query)
        assert paging <= {(field.name, field.type, field.default) for field in fields}


def test_only_reading_is_done_by_get() -> None:
    assert {route.body for route in ROUTES if route.method in {"GET", "DELETE"}} == {Nothing}


def test_a_route_of_the_installation_has_no_organisation(plane: Plane) -> None:
    call = Call(
        context=plane.context,
        person=Person(actor="cli", roles=frozenset()),
        path={},
        query=Nothing(),
        body=Nothing(),
        chosen=None,
    )
    with pytest.raises(LookupError):
        _ = call.organisation


@pytest.mark.parametrize(("limit", "status"), [(1, 200), (1000, 200), (0, 400), (1001, 400)])
def test_a_page_has_a_bound(plane: Plane, limit: int, status: int) -> None:
    assert plane.ask("GET", f"agents?limit={limit}").status == status
