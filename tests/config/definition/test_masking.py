from collections.abc import Callable

import pytest

from ringfence.config.loading import Loaded
from ringfence.domain.masking import Kind, MaskingRules

TEXT = """\
format: 1
organisation:
  name: acme
  masking: %s
"""


def test_kinds_and_patterns_are_read(load_text: Callable[..., Loaded]) -> None:
    text = TEXT % "{kinds: [email, phone, card, iban], patterns: {ticket: 'ACME-[0-9]{6}'}}"
    organisation = load_text(text).configuration.organisations["acme"]
    assert organisation.masking == MaskingRules(
        kinds=(Kind.EMAIL, Kind.PHONE, Kind.CARD, Kind.IBAN), patterns={"ticket": "ACME-[0-9]{6}"}
    )


def test_nothing_is_masked_unless_it_is_said(load_text: Callable[..., Loaded]) -> None:
    loaded = load_text("format: 1\norganisation: acme\n")
    assert not loaded.configuration.organisations["acme"].masking


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("{kinds: [emali]}", "unknown kind `emali`"),
        ("{kinds: [email, email]}", "stands twice"),
        ("{patterns: {x: '(?=a)'}}", "pattern `x` cannot be used"),
        ("{patterns: {x: 'a*'}}", "matches nothing at all"),
        ("{patterns: {email: 'a'}}", "`email` is no name of a pattern"),
        ("{patterns: {Ticket: 'a'}}", "`Ticket` is no name of a pattern"),
        ("{pattern: {x: 'a'}}", "unknown key `pattern`"),
    ],
)
def test_what_cannot_be_used_is_named(
    rules: str, expected: str, problems_of: Callable[..., list[str]]
) -> None:
    problems = problems_of(TEXT % rules)
    assert len(problems) == 1
    assert expected in problems[0]
