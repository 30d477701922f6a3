import pytest

from ringfence.decisions.access import allows, granted, held
from ringfence.domain.organisation import Role


def test_an_administrator_has_every_role() -> None:
    assert granted({Role.ADMIN}) == frozenset(Role)


@pytest.mark.parametrize("role", Role)
def test_every_role_includes_viewing(role: Role) -> None:
    assert allows({role}, {Role.VIEWER})


def test_no_role_opens_nothing() -> None:
    assert granted(frozenset()) == frozenset()
    assert not allows(frozenset(), frozenset(Role))


def test_a_role_does_not_open_what_asks_for_another() -> None:
    assert allows({Role.BUILDER}, {Role.BUILDER})
    assert not allows({Role.AUDITOR}, {Role.BUILDER})


def test_a_key_is_worth_no_more_than_its_user_still_is() -> None:
    assert held({Role.ADMIN}, {Role.AUDITOR}) == {Role.AUDITOR, Role.VIEWER}
    assert held({Role.AUDITOR}, {Role.ADMIN}) == {Role.AUDITOR, Role.VIEWER}
    assert held({Role.ADMIN}, frozenset()) == frozenset()
