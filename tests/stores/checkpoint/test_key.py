import os
import time
from pathlib import Path

import pytest

from ringfence.domain.error import UnavailableError, UsageError
from ringfence.protocols import key_chain
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.checkpoint.place import keys_path

NOW_US = 1_795_000_000_000_000


def test_a_key_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    keys = SigningKeys(tmp_path)
    assert keys.ensure(NOW_US)
    assert keys.path == tmp_path / "keys" / "signing.key"
    assert keys.path.stat().st_mode & 0o777 == 0o600
    assert keys.path.parent.stat().st_mode & 0o777 == 0o700
    key = keys.current()
    assert not SigningKeys(tmp_path).ensure(NOW_US)
    assert SigningKeys(tmp_path).current().public == key.public
    assert [one.key for one in keys.statements()] == [key.verifier()]


def test_a_key_may_stand_elsewhere(tmp_path: Path) -> None:
    elsewhere = tmp_path / "mount" / "ringfence.key"
    SigningKeys(tmp_path / "data", elsewhere).ensure(NOW_US)
    assert elsewhere.exists()
    assert not (tmp_path / "data" / "keys").exists()
    with pytest.raises(UsageError) as caught:
        SigningKeys(tmp_path / "data").ensure(NOW_US)
    assert caught.value.code == "signing_key_missing"


def test_a_key_that_was_brought_is_used(tmp_path: Path) -> None:
    SigningKeys(tmp_path / "a").ensure(NOW_US)
    brought = SigningKeys(tmp_path / "b", SigningKeys(tmp_path / "a").path)
    brought.ensure(NOW_US)
    assert brought.current().public == SigningKeys(tmp_path / "a").current().public


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    SigningKeys(tmp_path).ensure(NOW_US)
    keys = SigningKeys(tmp_path)
    keys.path.chmod(0o640)
    with pytest.raises(UsageError) as caught:
        keys.current()
    assert caught.value.code == "signing_key_exposed"


def test_every_process_notices_a_new_key(tmp_path: Path) -> None:
    one, other = SigningKeys(tmp_path), SigningKeys(tmp_path)
    one.ensure(NOW_US)
    first = other.current()
    time.sleep(0.01)
    second = one.rotate(NOW_US + 1)
    assert second.public != first.public
    assert other.current().public == second.public
    chain = [each.key for each in other.statements()]
    assert chain == [first.verifier(), second.verifier()]
    assert key_chain.accepted(other.statements(), first.verifier()) == chain
    assert key_chain.accepted(other.statements(), second.verifier()) == chain[1:]


def test_a_rotation_that_was_cut_short_is_begun_again(tmp_path: Path) -> None:
    keys = SigningKeys(tmp_path)
    keys.ensure(NOW_US)
    first, secret = keys.current(), keys.path.read_bytes()
    keys.rotate(NOW_US + 1)
    keys.path.write_bytes(secret)  # the statement was written, the secret was not
    os.utime(keys.path, ns=(1, 1))
    assert keys.current().public == first.public
    third = keys.rotate(NOW_US + 2)
    assert [each.key for each in keys.statements()] == [first.verifier(), third.verifier()]


def test_a_folder_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    keys = SigningKeys(tmp_path)
    keys_path(tmp_path).mkdir(parents=True)
    with pytest.raises(UnavailableError, match="checkpoints/keys"):
        keys.statements()
