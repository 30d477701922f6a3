"""Tokens that are not taken: on the record and told of once, and nothing else."""

from tests.gateways.world import World

from ringfence.domain.event import Change
from ringfence.domain.secret import key_of, token_of
from ringfence.enforcement.finding import FindingLog
from ringfence.enforcement.refused_token import TOKEN_REFUSED, RefusedTokens, TokenRefused

KEY = key_of("acme", token_of("crm"))


def test_a_token_that_is_refused_is_recorded_and_told_once_in_half_a_minute() -> None:
    world, told = World(), list[TokenRefused]()
    findings = FindingLog(ledger=world.ledger, directory=world.worker.directory, clock=world.clock)
    tokens = RefusedTokens(findings, told.append)
    for _ in range(100):
        tokens.refused(KEY, "house")
    changes = [each for each in world.ledger.events if isinstance(each, Change)]
    (change,) = [each for each in changes if each.what == TOKEN_REFUSED]
    assert (change.organisation, change.subject) == ("org_acme", "crm")
    assert change.detail == {"secret": "crm", "at": "house"}
    assert told == [TokenRefused(key=KEY)]
    world.clock.advance(30_000_001)
    tokens.refused(KEY, "house")
    assert len(told) == 2


def test_what_is_no_token_cannot_be_got_again() -> None:
    world, told = World(), list[TokenRefused]()
    findings = FindingLog(ledger=world.ledger, directory=world.worker.directory, clock=world.clock)
    tokens = RefusedTokens(findings, told.append)
    for key in ("PROVIDER_KEY", key_of("acme", "crm"), ""):
        tokens.refused(key, "house")
    assert told == []
    assert TOKEN_REFUSED not in world.ledger.changes
