from collections.abc import Callable
from dataclasses import replace

from ringfence.config.loading import Loaded
from ringfence.domain.budget import Budget, Per
from ringfence.domain.money import Money
from ringfence.domain.organisation import Organisation, RetentionRules, Role


def test_what_is_wrong_with_an_organisation_is_named_with_its_place(
    refusal: tuple[str, list[str]], problems_of: Callable[..., list[str]]
) -> None:
    text, expected = refusal
    assert problems_of(text) == expected


def acme(loaded: Loaded) -> Organisation:
    return loaded.configuration.organisations["acme"]


def test_a_name_alone_is_short_for_an_organisation(load_text: Callable[..., Loaded]) -> None:
    short = load_text("format: 1\norganisation: acme\n")
    whole = load_text("format: 1\norganisation: {name: acme, timezone: UTC}\n")
    assert acme(short) == acme(whole)
    assert replace(acme(short), digest="") == Organisation(name="acme")


def test_all_parts_of_an_organisation_are_read(load_text: Callable[..., Loaded]) -> None:
    organisation = acme(
        load_text("""\
            format: 1
            organisation:
              name: acme
              timezone: Europe/Berlin
              environment: production
              budget: {usd: 5000, per: month}
              default_user: {budget: {usd: 5, per: day}, calls_per_minute: 60}
              retention: {body_days: 90, event_days: 400}
            teams: {support: {budget: {usd: 200, per: month}}, empty: }
            users:
              ann@acme.example: {roles: [admin, viewer], calls_per_minute: 3}
              bob:
            """)
    )
    assert organisation.timezone == "Europe/Berlin"
    assert organisation.environment == "production"
    assert organisation.retention == RetentionRules(body_days=90, event_days=400)
    assert organisation.budgets == (Budget(limit=Money(5_000_000_000_000), per=Per.MONTH),)
    assert organisation.default_user is not None
    assert organisation.default_user.calls_per_minute == 60
    assert organisation.teams["support"].budgets[0].limit == 200_000_000_000
    assert organisation.teams["empty"].budgets == ()
    assert organisation.users["ann@acme.example"].roles == {Role.ADMIN, Role.VIEWER}
    assert organisation.users["bob"].roles == frozenset()
