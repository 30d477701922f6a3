from starlette.routing import Route
from tests.api.plane import NETWORK, Plane

from ringfence.api.application import ROUTES


def test_nothing_is_served_but_the_table_and_health(plane: Plane) -> None:
    served = {
        (method, route.path)
        for route in plane.app.routes
        if isinstance(route, Route)
        for method in (route.methods or set()) - {"HEAD"}
    }
    table = {(route.method, route.target) for route in ROUTES}
    assert served == table | {("GET", "/healthz"), ("GET", "/readyz")}
    assert len(plane.app.routes) == len(served)


def test_asking_for_the_head_alone_needs_a_credential_too(plane: Plane) -> None:
    answer = plane.ask("HEAD", "agents", listener=NETWORK)
    assert answer.status == 401
