from pathlib import Path

import pytest
from tests.app.installation import ENVIRONMENT, Installation

from ringfence.app.configuration import prepare, register, with_prices
from ringfence.domain.error import RingfenceError, UsageError
from ringfence.stores.state.store import open_state
from ringfence.testing.clock import ManualClock
from ringfence.testing.ids import SequentialIds

NOW_US = 1_795_000_000_000_000


@pytest.fixture
def installed(tmp_path: Path) -> Installation:
    made = Installation(tmp_path)
    made.configure("http://127.0.0.1:1")
    return made


def test_what_is_prepared_has_prices_and_secrets(installed: Installation) -> None:
    prepared = prepare(installed.settings, ENVIRONMENT, NOW_US)
    models = prepared.configuration.organisations["acme"].models
    assert all(model.price is not None for model in models.values())
    assert prepared.secrets.get("PROVIDER_KEY").reveal() == ENVIRONMENT["PROVIDER_KEY"]
    assert ENVIRONMENT["PROVIDER_KEY"] not in repr(prepared)
    assert ENVIRONMENT["PROVIDER_KEY"] not in prepared.configuration.digest


def test_a_missing_variable_is_named(installed: Installation) -> None:
    with pytest.raises(RingfenceError, match="PROVIDER_KEY"):
        prepare(installed.settings, {}, NOW_US)


def test_a_published_price_is_filled_in_where_none_is_stated(installed: Installation) -> None:
    path = installed.settings.config
    text = path.read_text().replace('"http://127.0.0.1:1"', '"https://api.anthropic.com"')
    text = text.replace(
        "claude: {provider: claude, price: {input: 1, output: 10}}",
        "claude: {provider: claude, upstream: claude-sonnet-4-5}",
    )
    path.write_text(text)
    configuration = prepare(installed.settings, ENVIRONMENT, NOW_US).configuration
    models = configuration.organisations["acme"].models
    claude, small = models["claude"].price, models["small"].price
    assert claude is not None
    assert small is not None
    assert claude.source.startswith("genai-prices")
    assert claude.rates.output > 0
    assert small.source == "configuration"
    again = with_prices(configuration, installed.data, NOW_US)
    assert again.organisations["acme"].models["claude"].price == claude


def test_a_registered_configuration_has_ids_that_last(installed: Installation) -> None:
    clock, ids = ManualClock(), SequentialIds()
    configuration = prepare(installed.settings, ENVIRONMENT, NOW_US).configuration
    state = open_state(installed.data)
    first = register(state, configuration, clock=clock, ids=ids, actor="test")
    second = register(state, configuration, clock=clock, ids=ids, actor="test")
    state.close()
    assert first == second
    acme = first.organisations["acme"]
    assert first.epoch == 1
    assert acme.id.startswith("org_")
    assert acme.agents["triage"].id.startswith("agt_")


def test_a_broken_file_is_refused_whole(installed: Installation) -> None:
    path = installed.settings.config
    path.write_text(path.read_text().replace("models: [small, claude]", "models: [smal]"))
    with pytest.raises(UsageError, match="smal"):
        prepare(installed.settings, ENVIRONMENT, NOW_US)
