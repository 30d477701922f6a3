import os

import pytest
from tests.cli.installation import Installation

from ringfence.app.secret import stored_secrets
from ringfence.app.storage import storage_of
from ringfence.cli.doctor.finding import Finding
from ringfence.cli.doctor.secret import secrets
from ringfence.config.settings import Settings
from ringfence.stores.secret.wrapping_key import VARIABLE, WrappingKeys, default_path
from ringfence.transport.clock import SystemClock


@pytest.fixture
def settings(stopped: Installation) -> Settings:
    """Something is stored."""
    settings = Settings(config=stopped.folder / "ringfence.yaml", data=stopped.data)
    state = storage_of(settings).state()
    stored_secrets(settings.data, {}, state, SystemClock()).put("org_1", "crm", "a-canary")
    state.close()
    return settings


def found(settings: Settings, **environment: str) -> Finding:
    (finding,) = secrets(settings, environment)
    assert "a-canary" not in finding.what + finding.help
    return finding


def test_where_nothing_is_stored_there_is_nothing_to_say(stopped: Installation) -> None:
    settings = Settings(config=stopped.folder / "ringfence.yaml", data=stopped.data)
    assert list(secrets(settings, os.environ)) == []
    assert not settings.data.exists()


def test_a_key_that_fits_is_good(settings: Settings) -> None:
    assert found(settings) == Finding("ok", "the key of stored secrets opens all of them (1)")


def test_a_key_that_is_lost_is_bad_and_no_other_is_made(settings: Settings) -> None:
    default_path(settings.data).unlink()
    finding = found(settings)
    assert (finding.level, "their key is not here" in finding.what) == ("bad", True)
    assert "put the right key back" in finding.help
    assert not default_path(settings.data).exists()


def test_a_wrong_key_of_the_environment_is_bad(settings: Settings) -> None:
    finding = found(settings, **{VARIABLE: "A" * 43})
    assert (finding.level, "need a key that is not here" in finding.what) == ("bad", True)
    finding = found(settings, **{VARIABLE: "no key"})
    assert (finding.level, "not 32 bytes in base64url" in finding.what) == ("bad", True)


def test_a_key_that_others_can_read_is_bad(settings: Settings) -> None:
    default_path(settings.data).chmod(0o644)
    finding = found(settings)
    assert (finding.level, "others can read" in finding.what) == ("bad", True)


def test_a_renewal_that_was_cut_short_is_told(settings: Settings) -> None:
    WrappingKeys(default_path(settings.data)).renew()
    finding = found(settings)
    assert (finding.level, "cut short" in finding.what) == ("note", True)
    assert "rotate --key" in finding.help
