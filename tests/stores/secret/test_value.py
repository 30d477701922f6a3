import traceback

import pytest

from ringfence.domain.error import UsageError
from ringfence.stores.secret import EnvironmentSecrets, Secret

VALUE = "sk-canary-0123456789"


def test_a_secret_shows_itself_only_when_asked() -> None:
    secret = Secret(VALUE)
    assert secret.reveal() == VALUE
    for shown in (repr(secret), str(secret), f"{secret}", f"{secret!r}", repr([secret])):
        assert VALUE not in shown
    assert not hasattr(secret, "__dict__")


def test_the_collection_shows_names_only() -> None:
    secrets = EnvironmentSecrets(frozenset({"KEY"}), {"KEY": VALUE, "OTHER": "x"})
    assert secrets.get("KEY").reveal() == VALUE
    assert repr(secrets) == "EnvironmentSecrets(['KEY'])"
    with pytest.raises(UsageError) as caught:
        secrets.get("OTHER")
    assert caught.value.code == "secret_missing"


@pytest.mark.parametrize("environment", [{}, {"KEY": ""}])
def test_a_missing_secret_is_named_with_what_to_do(environment: dict[str, str]) -> None:
    with pytest.raises(UsageError) as caught:
        EnvironmentSecrets(frozenset({"KEY"}), environment)
    assert (caught.value.code, "`KEY`" in caught.value.message) == ("secret_missing", True)
    assert "export KEY" in caught.value.help


def test_values_are_read_once() -> None:
    environment = {"KEY": VALUE}
    secrets = EnvironmentSecrets(frozenset({"KEY"}), environment)
    environment["KEY"] = "changed"
    assert secrets.get("KEY").reveal() == VALUE


def test_a_failure_beside_a_secret_does_not_show_it() -> None:
    secret = Secret(VALUE)
    with pytest.raises(ZeroDivisionError) as caught:
        _fail_beside(secret)
    assert VALUE not in "".join(traceback.format_exception(caught.value))


def _fail_beside(secret: Secret) -> float:
    return len(f"{secret}") / 0
