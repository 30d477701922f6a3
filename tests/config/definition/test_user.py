from collections.abc import Callable

from ringfence.config.loading import Loaded
from ringfence.domain.organisation import Role, UserDefaults

HEAD = """\
format: 1
organisation: {name: acme, default_user: %s}
providers: {house: {protocol: openai, base_url: "http://localhost:1"}}
models: {small: {provider: house}, large: {provider: house}}
tools: {crm: {url: "https://crm.example/mcp"}}
users:
"""


def test_what_agents_may_do_for_a_user_is_read(load_text: Callable[..., Loaded]) -> None:
    text = HEAD % "{models: [small], calls_per_minute: 60}" + (
        '  ann: {roles: [viewer], models: [large], tools: ["crm__get_*"], calls_per_minute: 5}\n'
        "  bob: {models: []}\n"
        "  eve:\n"
    )
    acme = load_text(text).configuration.organisations["acme"]
    ann, bob, eve = (acme.users[name] for name in ("ann", "bob", "eve"))
    assert (ann.roles, ann.models) == (frozenset({Role.VIEWER}), frozenset({"large"}))
    assert ann.tools == ("crm__get_*",)
    assert (bob.models, bob.tools) == (frozenset(), None)
    assert (eve.models, eve.tools, eve.calls_per_minute) == (None, None, None)
    assert acme.default_user == UserDefaults(models=frozenset({"small"}), calls_per_minute=60)


def test_without_the_key_nobody_acts_for_users_who_are_not_named(
    load_text: Callable[..., Loaded],
) -> None:
    plain = load_text("format: 1\norganisation: acme\n").configuration.organisations["acme"]
    assert plain.default_user is None
    empty = load_text("format: 1\norganisation: {name: acme, default_user: {}}\n")
    assert empty.configuration.organisations["acme"].default_user == UserDefaults()


def test_what_is_wrong_is_named_with_its_place(problems_of: Callable[..., list[str]]) -> None:
    text = HEAD % "{models: [smal]}" + (
        '  ann: {models: [lage, small, small], tools: ["cmr__*", "crm"]}\n'
    )
    assert problems_of(text) == [
        "2:52: unknown model `smal` in `default_user` | did you mean `small`?",
        "7:18: unknown model `lage` in user `ann` | did you mean `large`?",
        "7:31: `small` stands twice in `models` of user `ann`",
        "7:47: unknown tool server `cmr` in user `ann` | did you mean `crm`?",
        (
            "7:57: `crm` in user `ann` is not a pattern of tools"
            " | write server__tool, for example crm__get_*"
        ),
    ]


def test_a_user_who_is_in_order_is_not_noted(notes_of: Callable[..., list[str]]) -> None:
    text = HEAD % "{budget: {usd: 5, per: day}, calls_per_minute: 60, models: [small]}" + (
        "  ann: {models: [small], calls_per_minute: 5, budget: {usd: 1, per: day}}\n"
    )
    assert [note for note in notes_of(text) if "ann" in note or "default" in note] == []
