"""From the files to an epoch: read, check, price, give lasting ids."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from ringfence.config.loading import load
from ringfence.config.problem import Problem
from ringfence.config.reading import SecretUse
from ringfence.config.settings import Settings
from ringfence.domain.model import Model
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.stores.price import Wanted, resolve
from ringfence.stores.secret import EnvironmentSecrets
from ringfence.stores.state.configuration import Registration
from ringfence.stores.state.store import StateStore
from ringfence.transport.clock import Clock
from ringfence.transport.entropy import Ids


@dataclass(frozen=True, slots=True, kw_only=True)
class Prepared:
    """A configuration that is ready to be registered: checked, with prices and secrets."""

    configuration: Configuration
    secrets: EnvironmentSecrets
    secret_uses: Mapping[str, SecretUse]
    notes: tuple[Problem, ...]


def prepare(settings: Settings, environment: Mapping[str, str], now_us: int) -> Prepared:
    """Read the files and price every model; blocks for up to a second when prices are not cached.

    Raises ConfigurationError, UsageError `secret_missing`, UnavailableError.
    """
    loaded = load(settings.config, environment)
    secrets = EnvironmentSecrets(loaded.secret_names, environment)
    return Prepared(
        configuration=with_prices(loaded.configuration, settings.data, now_us),
        secrets=secrets,
        secret_uses=loaded.secret_uses,
        notes=tuple(loaded.notes),
    )


def with_prices(configuration: Configuration, cache: Path, now_us: int) -> Configuration:
    """Fill in the published price of every model that states none of its own."""
    wanted = {
        (organisation.name, model.name): _wanted(organisation, model)
        for organisation in configuration.organisations.values()
        for model in organisation.models.values()
        if model.price is None
    }
    cards = resolve(list(wanted.values()), cache, now_us)
    return replace(
        configuration,
        organisations={
            name: replace(
                organisation,
                models={
                    alias: replace(model, price=cards[wanted[name, alias]])
                    if (name, alias) in wanted
                    else model
                    for alias, model in organisation.models.items()
                },
            )
            for name, organisation in configuration.organisations.items()
        },
    )


def register(
    state: StateStore, configuration: Configuration, *, clock: Clock, ids: Ids, actor: str
) -> Configuration:
    """Give ids and an epoch; all or nothing."""
    registration = Registration(now_us=clock.now_us(), actor=actor, make_id=ids.make)
    return state.configurations.register(configuration, registration)


def _wanted(organisation: Organisation, model: Model) -> Wanted:
    provider = organisation.providers[model.provider]
    return Wanted(
        protocol=provider.protocol,
        base_url=provider.base_url,
        model=model.upstream,
        has_images=model.image_tokens is not None,
        has_media=model.media_tokens is not None,
    )
