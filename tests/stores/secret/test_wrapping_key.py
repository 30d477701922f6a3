from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from ringfence.domain.error import UsageError
from ringfence.stores.secret.wrapping_key import WrappingKeys, default_path

ONE = urlsafe_b64encode(bytes(range(200, 232))).decode()
TWO = urlsafe_b64encode(bytes(32)).decode().rstrip("=")


def keys(folder: Path) -> WrappingKeys:
    return WrappingKeys(default_path(folder))


def test_the_first_key_is_made_for_its_owner_alone(tmp_path: Path) -> None:
    made = keys(tmp_path).current(may_make=True)
    path = default_path(tmp_path)
    assert path.stat().st_mode & 0o777 == 0o600
    assert keys(tmp_path).current(may_make=False) == made
    assert keys(tmp_path).find(made.id) == made


def test_no_key_is_made_where_something_is_encrypted_already(tmp_path: Path) -> None:
    with pytest.raises(UsageError) as caught:
        keys(tmp_path).current(may_make=False)
    assert caught.value.code == "secret_key_missing"
    assert not default_path(tmp_path).exists()


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    keys(tmp_path).current(may_make=True)
    default_path(tmp_path).chmod(0o640)
    with pytest.raises(UsageError) as caught:
        keys(tmp_path).current(may_make=True)
    assert caught.value.code == "secret_key_exposed"


def test_a_renewed_key_encrypts_and_the_old_one_still_opens(tmp_path: Path) -> None:
    old = keys(tmp_path).current(may_make=True)
    new = keys(tmp_path).renew()
    assert keys(tmp_path).current(may_make=False) == new != old
    assert keys(tmp_path).find(old.id) == old
    keys(tmp_path).forget_others()
    assert keys(tmp_path).find(new.id) == new
    with pytest.raises(UsageError):
        keys(tmp_path).find(old.id)


def test_the_environment_gives_keys_and_nothing_is_written(tmp_path: Path) -> None:
    given = WrappingKeys(default_path(tmp_path), f"{ONE},{TWO}")
    first = given.current(may_make=True)
    assert (given.is_given, first.secret) == (True, bytes(range(200, 232)))
    assert given.renew() == first
    given.forget_others()
    other = WrappingKeys(default_path(tmp_path), TWO).current(may_make=False)
    assert given.find(other.id) == other
    assert not default_path(tmp_path).exists()


@pytest.mark.parametrize("text", ["short", "!" * 44, ONE + ",", "é" * 43])
def test_what_is_no_key_is_refused_and_not_repeated(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError) as caught:
        WrappingKeys(default_path(tmp_path), text)
    assert caught.value.code == "secret_key_malformed"
    assert text not in f"{caught.value.message}{caught.value.help}"


def test_keys_are_shown_nowhere(tmp_path: Path) -> None:
    given = WrappingKeys(default_path(tmp_path), ONE)
    assert ONE not in repr(given)
    assert ONE not in repr(given.current(may_make=False))
