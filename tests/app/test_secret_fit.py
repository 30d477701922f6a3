from pathlib import Path

import pytest
from tests.app.installation import ENVIRONMENT, Installation

from ringfence.app.configuration import Prepared, prepare
from ringfence.app.secret import stored_secrets
from ringfence.app.secret_fit import standing_store, unmet
from ringfence.app.storage import storage_of
from ringfence.stores.secret.wrapping_key import default_path
from ringfence.transport.clock import SystemClock


@pytest.fixture
def installed(tmp_path: Path) -> Installation:
    """A provider needs what is stored; nothing was ever started."""
    made = Installation(tmp_path)
    made.configure("http://127.0.0.1:9")
    path = made.settings.config
    text = path.read_text().replace("${PROVIDER_KEY}", "${secret:house}")
    path.write_text(text + "secrets:\n  house: {stored: true}\n")
    return made


def prepared(installed: Installation) -> Prepared:
    return prepare(installed.settings, ENVIRONMENT, SystemClock().now_us())


def unmet_of(installed: Installation) -> list[str]:
    found = unmet(installed.settings, {}, prepared(installed))
    return [f"{each.place.line}: {each.what} | {each.help}" for each in found]


def store(installed: Installation) -> None:
    organisation = installed.give_ids()
    state = storage_of(installed.settings).state()
    stored_secrets(installed.data, {}, state, SystemClock()).put(organisation, "house", "a-value")
    state.close()


def test_before_a_first_start_nothing_can_be_told_and_nothing_is_made(
    installed: Installation,
) -> None:
    assert unmet_of(installed) == []
    with standing_store(installed.settings, {}) as found:
        assert found is None
    assert not installed.data.exists()


def test_what_is_not_stored_is_told_with_its_place(installed: Installation) -> None:
    installed.give_ids()
    assert unmet_of(installed) == [
        (
            "8: secret `house` has no value, which `credential` in provider `house` needs"
            " | `ringfence secret set house`"
        )
    ]
    store(installed)
    assert unmet_of(installed) == []


def test_what_cannot_be_opened_is_told_likewise(installed: Installation) -> None:
    store(installed)
    default_path(installed.data).unlink()
    (found,) = unmet_of(installed)
    assert found.startswith("8: there is no key in ")
    assert "restore the file from a backup" in found
