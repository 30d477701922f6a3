from dataclasses import replace

from tests.api.plane import Plane

from ringfence.domain.organisation import Role
from ringfence.domain.tool import OAuthClient, ToolServer

PATH = "tools/servers/crm/grant"


def with_server(plane: Plane) -> None:
    oauth = OAuthClient(is_by_person=True)
    crm = ToolServer(name="crm", url="https://crm.example/mcp", oauth=oauth)
    plane.load(replace(plane.acme, tools={"crm": crm}))


def test_grants_need_a_running_plane_and_a_server_that_there_is(plane: Plane) -> None:
    assert plane.ask("GET", PATH).code == "tool_server_unknown"
    with_server(plane)
    assert plane.ask("GET", PATH).status == 503
    assert plane.ask("POST", PATH, body={"redirect_uri": "http://127.0.0.1:1/c"}).status == 503
    answer = {"state": "s", "code": "c"}
    assert plane.ask("POST", f"{PATH}/answer", body=answer).status == 503
    assert plane.ask("DELETE", PATH).status == 503


def test_only_builders_grant(plane: Plane) -> None:
    with_server(plane)
    viewer = plane.key(Role.VIEWER)
    body = {"redirect_uri": "http://127.0.0.1:1/c"}
    assert plane.ask("POST", PATH, body=body, key=viewer).status == 403
    assert plane.ask("DELETE", PATH, key=viewer).status == 403
