"""Every route, with every kind of caller."""

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from tests.api.plane import NETWORK, OWNER, Plane, organisation

from ringfence.api.access import LocalListener, NetworkListener
from ringfence.api.application import ROUTES
from ringfence.api.route import AnyRoute
from ringfence.decisions.access import allows
from ringfence.domain.organisation import Role

EACH_ROUTE = pytest.mark.parametrize(
    "route", ROUTES, ids=[f"{each.method} {each.path}" for each in ROUTES]
)


@pytest.fixture(scope="module")
def shut(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Plane]:
    """One plane for all that is refused before anything of the plane is touched."""
    made = Plane(tmp_path_factory.mktemp("shut") / "data", organisation())
    yield made
    made.close()


# Written out a second time on purpose: a route whose roles change must change here as well.
VIEW = {Role.VIEWER, Role.APPROVER, Role.BUILDER, Role.AUDITOR, Role.ADMIN}
BUILD = {Role.BUILDER, Role.ADMIN}
EXPORT = {Role.AUDITOR, Role.ADMIN}
ADMINISTER = {Role.ADMIN}
ROLES = {
    "GET /agents": VIEW,
    "GET /agents/{name}": VIEW,
    "POST /agents/{name}/suspend": ADMINISTER,
    "POST /agents/{name}/resume": ADMINISTER,
    "POST /agents/{name}/retire": ADMINISTER,
    "GET /agents/{name}/tokens": VIEW,
    "POST /agents/{name}/tokens": BUILD,
    "POST /agents/{name}/tokens/{id}/rotate": BUILD,
    "DELETE /agents/{name}/tokens/{id}": BUILD,
    "GET /users": VIEW,
    "GET /users/{name}/tokens": ADMINISTER,
    "POST /users/{name}/tokens": ADMINISTER,
    "DELETE /users/{name}/tokens/{id}": ADMINISTER,
    "GET /keys": ADMINISTER,
    "POST /keys": ADMINISTER,
    "DELETE /keys/{id}": ADMINISTER,
    "GET /agents/{name}/reliability": VIEW,
    "GET /approvals": {Role.APPROVER, Role.AUDITOR, Role.ADMIN},
    "GET /approvals/{id}": {Role.APPROVER, Role.AUDITOR, Role.ADMIN},
    "POST /approvals/{id}/approve": {Role.APPROVER, Role.ADMIN},
    "POST /approvals/{id}/deny": {Role.APPROVER, Role.ADMIN},
    "GET /policies": VIEW,
    "GET /policies/tools": VIEW,
    "GET /policies/explain": VIEW,
    "GET /policies/replay": VIEW,
    "GET /agents/{name}/reach": VIEW,
    "GET /tools": VIEW,
    "GET /tools/changes": VIEW,
    "GET /tools/history": VIEW,
    "GET /tools/lint": VIEW,
    "GET /tools/stats": VIEW,
    "POST /tools/accept": BUILD,
    "GET /traces": VIEW,
    "GET /traces/{id}": VIEW,
    "GET /traces/{id}/reliability": VIEW,
    "GET /traces/{id}/undo": VIEW,
    "POST /traces/{id}/undo": BUILD,
    "GET /tools/servers/{server}/grant": VIEW,
    "POST /tools/servers/{server}/grant": BUILD,
    "POST /tools/servers/{server}/grant/answer": BUILD,
    "DELETE /tools/servers/{server}/grant": BUILD,
    "GET /audit/events": VIEW,
    "GET /audit/export": EXPORT,
    "GET /audit/proof": EXPORT,
    "POST /audit/key": ADMINISTER,
    "POST /audit/erase": ADMINISTER,
    "GET /audit/holds": EXPORT,
    "POST /audit/holds": ADMINISTER,
    "POST /audit/holds/release": ADMINISTER,
    "GET /budgets": VIEW,
    "GET /budgets/counts": VIEW,
    "GET /budgets/grants": VIEW,
    "POST /budgets/grants": ADMINISTER,
    "POST /reload": ADMINISTER,
    "GET /status": VIEW,
    "GET /upstreams": VIEW,
    "POST /sandboxes": BUILD,
    "GET /sandboxes": VIEW,
    "POST /sandboxes/{id}/stop": BUILD,
    "GET /secrets": BUILD,
    "POST /secrets/{name}": ADMINISTER,
    "DELETE /secrets/{name}": ADMINISTER,
    "POST /secret-key": ADMINISTER,
    "GET /openapi.json": VIEW,
    "GET /metrics": VIEW,
}


PAGE = Path(__file__).parents[2] / "docs" / "access.md"
MARK = "<!-- made from the routes -->\n"


def table() -> str:
    """Every route and who may use it, as the page shows it."""
    rows = ["| route | what it does | " + " | ".join(Role) + " |", "|---|---|" + "---|" * len(Role)]
    for route in sorted(ROUTES, key=lambda each: (each.target, each.method)):
        own = "own" if route.is_open_to_subject else ""
        opened = ["yes" if allows({role}, route.roles) else own for role in Role]
        what = f"`{route.method} {route.target}` | {route.summary}"
        rows.append(f"| {what} | {' | '.join(opened)} |")
    return "\n".join(rows) + "\n"


def test_the_page_shows_who_may_use_which_route() -> None:
    text = PAGE.read_text(encoding="utf-8")
    before, _, after = text.partition(MARK)
    rest = after[after.index("\n\n") :]
    if os.environ.get("RINGFENCE_REFRESH"):
        PAGE.write_text(before + MARK + table() + rest[1:], encoding="utf-8")
    assert after.startswith(table()), "run this test with RINGFENCE_REFRESH=1"


def target(route: AnyRoute) -> str:
    return route.target.replace("{name}", "nobody").replace("{id}", "nothing")


def test_the_matrix_names_every_route() -> None:
    assert {f"{route.method} {route.path}" for route in ROUTES} == set(ROLES)


@EACH_ROUTE
def test_a_route_opens_for_its_roles_and_for_no_other(plane: Plane, route: AnyRoute) -> None:
    opened = set()
    for role in Role:
        answer = plane.ask(route.method, target(route), key=plane.key(role))
        assert answer.status != 401
        if answer.status != 403:
            opened.add(role)
        else:
            assert answer.code == "role_missing"
    assert opened == ROLES[f"{route.method} {route.path}"]


@EACH_ROUTE
def test_a_route_is_closed_without_a_valid_key(plane: Plane, route: AnyRoute) -> None:
    revoked = plane.key(Role.ADMIN)
    plane.state.keys.revoke(plane.acme.id, plane.state.keys.list(plane.acme.id)[0].key.id, now_us=1)
    for key, code in [
        (None, "credential_missing"),
        ("rf_key_unknown", "credential_unknown"),
        (revoked, "credential_unknown"),
        ("", "credential_missing"),
    ]:
        answer = plane.ask(route.method, target(route), key=key, listener=NETWORK)
        assert (answer.status, answer.code) == (401, code)
        assert answer.headers["www-authenticate"].startswith("Bearer")


@EACH_ROUTE
def test_a_route_is_closed_to_agents_and_the_attempt_is_recorded(
    plane: Plane, route: AnyRoute
) -> None:
    answer = plane.ask(route.method, target(route), key=plane.token())
    assert (answer.status, answer.code) == (403, "agent_credential")
    (note,) = plane.notes
    assert note.what == "control.refused"
    assert note.actor == f"agent:{plane.acme.agents['triage'].id}"
    assert note.organisation == plane.acme.id


@EACH_ROUTE
def test_a_route_is_closed_to_invocation_tokens(shut: Plane, route: AnyRoute) -> None:
    answer = shut.ask(route.method, target(route), key="rf_inv_anything")
    assert (answer.status, answer.code) == (403, "agent_credential")
    assert shut.notes == []


@EACH_ROUTE
def test_a_route_is_closed_to_a_request_that_came_by_no_listener(
    shut: Plane, route: AnyRoute
) -> None:
    answer = shut.ask(route.method, target(route), key=shut.key(Role.ADMIN), listener="forged")
    assert (answer.status, answer.code) == (403, "listener_unknown")


@EACH_ROUTE
@pytest.mark.parametrize("host", ["evil.example", "localhost", "localhost:80", "evil.example:8485"])
def test_a_foreign_host_name_is_refused(shut: Plane, route: AnyRoute, host: str) -> None:
    answer = shut.ask(
        route.method, target(route), key=shut.key(Role.ADMIN), headers=[("host", host)]
    )
    assert (answer.status, answer.code) == (403, "host_refused")


@EACH_ROUTE
@pytest.mark.parametrize("origin", ["http://evil.example", "null", "https://localhost:8485"])
def test_a_foreign_origin_is_refused(shut: Plane, route: AnyRoute, origin: str) -> None:
    for key in (shut.key(Role.ADMIN), None):
        answer = shut.ask(route.method, target(route), key=key, headers=[("origin", origin)])
        assert (answer.status, answer.code) == (403, "origin_refused")


def test_our_own_origin_and_the_connections_own_address_are_let_in(plane: Plane) -> None:
    key = plane.key(Role.VIEWER)
    assert plane.ask("GET", "agents", key=key, headers=[("host", "LOCALHOST:8485")]).status == 200
    origin = [("origin", "http://localhost:8485")]
    assert plane.ask("GET", "agents", key=key, headers=origin).status == 200
    elsewhere = NetworkListener(authorities=frozenset({"plane.example:9000"}))
    for host, status in [("127.0.0.1:8485", 200), ("localhost:8485", 403)]:
        headers = [("host", host)]
        answer = plane.ask("GET", "agents", key=key, headers=headers, listener=elsewhere)
        assert answer.status == status


@pytest.mark.parametrize("count", [0, 2])
def test_a_request_needs_exactly_one_host(plane: Plane, count: int) -> None:
    headers = [("host", "localhost:8485")] * count or [("x-none", "")]
    answer = plane.ask("GET", "agents", key=plane.key(Role.VIEWER), headers=headers)
    assert answer.status == (200 if count == 0 else 403)


def test_two_credentials_are_ambiguous(plane: Plane) -> None:
    second = [("authorization", f"Bearer {plane.key(Role.ADMIN)}")]
    answer = plane.ask("GET", "agents", key=plane.key(Role.ADMIN), headers=second)
    assert (answer.status, answer.code) == (400, "credential_ambiguous")


@pytest.mark.parametrize(("uid", "actor"), [(1000, "cli:uid=1000"), (None, "cli")])
def test_the_operator_on_the_unix_socket_administers(
    plane: Plane, uid: int | None, actor: str
) -> None:
    answer = plane.ask("POST", "agents/triage/suspend", listener=LocalListener(uid=uid))
    assert answer.status == 200
    assert plane.notes[0].actor == actor


def test_a_key_is_worth_no_more_than_its_user_has_become(plane: Plane) -> None:
    key = plane.key(Role.ADMIN)
    assert plane.ask("GET", "keys", key=key).status == 200
    users = dict(plane.acme.users)
    users[OWNER] = replace(users[OWNER], roles=frozenset({Role.VIEWER}))
    plane.load(replace(organisation(), users=users))
    assert plane.ask("GET", "keys", key=key).code == "role_missing"
    assert plane.ask("GET", "agents", key=key).status == 200
    del users[OWNER]
    plane.load(replace(organisation(), users=users))
    assert plane.ask("GET", "agents", key=key).code == "credential_unknown"


def test_a_refusal_of_an_agent_holds_even_if_it_cannot_be_recorded(plane: Plane) -> None:
    plane.is_recording = False
    assert plane.ask("GET", "agents", key=plane.token()).status == 503


def test_an_agent_that_keeps_knocking_is_recorded_once_a_minute(plane: Plane) -> None:
    token = plane.token()
    for _ in range(5):
        assert plane.ask("GET", "agents", key=token).status == 403
    plane.clock.advance(60_000_000)
    plane.ask("GET", "agents", key=token)
    assert [note.detail["attempts"] for note in plane.notes] == ["1", "5"]


class TestSeveralOrganisations:
    @pytest.fixture
    def both(self, tmp_path: Path) -> Iterator[Plane]:
        made = Plane(tmp_path / "data", organisation(), organisation("bolt"))
        yield made
        made.close()

    def test_the_operator_must_name_one(self, both: Plane) -> None:
        answer = both.ask("GET", "agents")
        assert (answer.status, answer.code) == (400, "organisation_needed")
        bolt = both.configuration.organisations["bolt"]
        (line,) = both.ask("GET", "agents?organisation=bolt").json()["items"]
        assert line["id"] == bolt.agents["triage"].id

    def test_a_keyholder_sees_only_their_own(self, both: Plane) -> None:
        key = both.key(Role.ADMIN)
        (line,) = both.ask("GET", "agents", key=key).json()["items"]
        assert line["id"] == both.acme.agents["triage"].id
        foreign = both.ask("GET", "agents?organisation=bolt", key=key)
        absent = both.ask("GET", "agents?organisation=nope", key=key)
        assert (foreign.status, foreign.code) == (404, "organisation_unknown")
        assert foreign.body.replace(b"bolt", b"nope") == absent.body

    def test_nothing_of_another_can_be_reached_by_id(self, both: Plane) -> None:
        both.key(Role.ADMIN, organisation="bolt")
        bolt = both.configuration.organisations["bolt"]
        (foreign,) = both.state.keys.list(bolt.id)
        answer = both.ask("DELETE", f"keys/{foreign.key.id}", key=both.key(Role.ADMIN))
        assert (answer.status, answer.code) == (404, "key_unknown")
        assert both.state.keys.list(bolt.id)[0].key.revoked_us is None

    def test_only_the_operator_reloads(self, both: Plane) -> None:
        answer = both.ask("POST", "reload", key=both.key(Role.ADMIN))
        assert (answer.status, answer.code) == (403, "local_only")
        assert both.ask("POST", "reload").status == 200
