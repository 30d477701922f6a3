from collections.abc import Callable

from ringfence.config.loading import Loaded
from ringfence.domain.approval import ApprovalRules, WebhookForm

HEAD = """\
format: 1
organisation: acme
approvals:
"""


def test_what_is_wrong_with_approvals_is_named_with_its_place(
    refusal: tuple[str, list[str]], problems_of: Callable[..., list[str]]
) -> None:
    text, expected = refusal
    assert problems_of(HEAD + text) == expected


def test_all_parts_of_approvals_are_read(load_text: Callable[..., Loaded]) -> None:
    text = (
        '  {seconds: 90, quorum: 2, webhook: "https://a.example/h?x=1", form: slack, '
        'credential: "${CRM_TOKEN}", signing_key: "${CRM_TOKEN}", '
        'page: "https://plane.example/approvals/{id}"}\n'
    )
    loaded = load_text(HEAD + text)
    assert loaded.configuration.organisations["acme"].approvals == ApprovalRules(
        seconds=90,
        quorum=2,
        webhook="https://a.example/h?x=1",
        form=WebhookForm.SLACK,
        credential="CRM_TOKEN",
        signing_key="CRM_TOKEN",
        page="https://plane.example/approvals/{id}",
    )
    assert loaded.secret_names == {"CRM_TOKEN"}


def test_without_approvals_a_call_is_held_for_an_hour(load_text: Callable[..., Loaded]) -> None:
    loaded = load_text("format: 1\norganisation: acme\n")
    assert loaded.configuration.organisations["acme"].approvals == ApprovalRules(seconds=3600)


def test_a_credential_in_clear_text_is_noted(notes_of: Callable[..., list[str]]) -> None:
    text = '  {webhook: "http://a.example/h", credential: "${CRM_TOKEN}"}\n'
    assert notes_of(HEAD + text) == [
        "4:4: `approvals` sends its credential over http without encryption | use https"
    ]
