import pytest
from tests.cli.installation import Installation

from ringfence.cli.doctor.key import keys
from ringfence.config.settings import Settings
from ringfence.stores.checkpoint import SigningKeys


@pytest.fixture
def settings(stopped: Installation) -> Settings:
    """A plane that has signed something."""
    stopped.call("agent", "suspend", "triage")
    return Settings(config=stopped.folder / "ringfence.yaml", data=stopped.data)


def test_before_the_first_start_there_is_no_key_to_look_at(stopped: Installation) -> None:
    settings = Settings(config=stopped.folder / "ringfence.yaml", data=stopped.data)
    assert list(keys(settings)) == []


def test_a_key_that_others_can_read_is_bad(settings: Settings) -> None:
    (good,) = keys(settings)
    assert (good.level, "number 1" in good.what) == ("ok", True)
    path = SigningKeys(settings.data).path
    path.chmod(0o644)
    (found,) = keys(settings)
    assert found.level == "bad"
    assert "others can read" in found.what


def test_a_key_that_is_gone_is_bad(settings: Settings) -> None:
    SigningKeys(settings.data).path.unlink()
    (found,) = keys(settings)
    assert (found.level, "there is no signing key" in found.what) == ("bad", True)


def test_a_key_of_another_installation_is_bad(settings: Settings, stopped: Installation) -> None:
    other = SigningKeys(stopped.folder / "other")
    other.ensure(1)
    SigningKeys(settings.data).path.write_bytes(other.path.read_bytes())
    (found,) = keys(settings)
    assert "not the one that signed" in found.what


def test_changes_of_the_key_are_counted(settings: Settings) -> None:
    SigningKeys(settings.data).rotate(1)
    (found,) = keys(settings)
    assert "number 2" in found.what
