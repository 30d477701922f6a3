from collections.abc import Callable

from ringfence.config.loading import Loaded
from ringfence.domain.alert import AlertRules

HEAD = """\
format: 1
organisation: acme
alerts:
"""


def test_what_is_wrong_with_alerts_is_named_with_its_place(
    refusal: tuple[str, list[str]], problems_of: Callable[..., list[str]]
) -> None:
    text, expected = refusal
    assert problems_of(HEAD + text) == expected


def test_all_parts_of_alerts_are_read(load_text: Callable[..., Loaded]) -> None:
    text = (
        '  {webhook: "https://a.example/h?x=1", credential: "${CRM_TOKEN}", percents: [90, 50]}\n'
    )
    loaded = load_text(HEAD + text)
    assert loaded.configuration.organisations["acme"].alerts == AlertRules(
        webhook="https://a.example/h?x=1", credential="CRM_TOKEN", percents=(50, 90)
    )
    assert loaded.secret_names == {"CRM_TOKEN"}


def test_without_alerts_the_usual_shares_are_recorded(load_text: Callable[..., Loaded]) -> None:
    loaded = load_text("format: 1\norganisation: acme\n")
    assert loaded.configuration.organisations["acme"].alerts == AlertRules()
    assert AlertRules().percents == (50, 80, 100)


def test_a_credential_in_clear_text_is_noted(notes_of: Callable[..., list[str]]) -> None:
    text = '  {webhook: "http://a.example/h", credential: "${CRM_TOKEN}"}\n'
    assert notes_of(HEAD + text) == [
        "4:4: `alerts` sends its credential over http without encryption | use https"
    ]
