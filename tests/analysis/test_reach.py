import pytest

from ringfence.analysis.reach import ASK, DENY, OPEN, SOMETIMES, Right, reach
from ringfence.domain.action import ActionKind

_TOOL, _HOST, _COMMAND = ActionKind.TOOL_CALL, ActionKind.HTTP_REQUEST, ActionKind.SHELL_EXEC


def _right(  # noqa: PLR0913 (a right has these parts)
    name: str,
    *labels: str,
    kind: ActionKind = _TOOL,
    tier: str = "read",
    gate: str = OPEN,
    by: tuple[str, ...] = (),
    uses: int = 0,
) -> Right:
    return Right(kind=kind, name=name, labels=labels, tier=tier, gate=gate, by=by, uses=uses)


_ORDERS = _right("crm__get_orders", "customer_data")
_MAIL = _right("mail__read", "untrusted")
_SEND = _right("mail__sendMail", tier="write")
_ERASE = _right("crm__erase", tier="irreversible")


def _dangers(*rights: Right) -> list[tuple[str, tuple[str, ...], tuple[str, ...]]]:
    found = reach("triage", rights, []).dangers
    return [(each.what, each.reads, each.does) for each in found]


def test_private_data_and_a_way_out_are_dangerous_together() -> None:
    assert _dangers(_ORDERS, _SEND) == [
        ("private data can be sent away", ("crm__get_orders",), ("mail__sendMail",))
    ]
    assert _dangers(_ORDERS) == _dangers(_SEND) == []


def test_a_stranger_who_can_ask_for_it_makes_it_worse() -> None:
    what, _, _ = _dangers(_ORDERS, _SEND, _MAIL)[0]
    assert "strangers" in what


@pytest.mark.parametrize(
    ("does", "danger"),
    [
        (_ERASE, "what strangers write can have consequences"),
        (_right("git", kind=_COMMAND, tier="write"), "what strangers write can be run as code"),
        (_right("py__run_code", tier="write"), "what strangers write can be run as code"),
    ],
)
def test_what_strangers_write_may_be_obeyed(does: Right, danger: str) -> None:
    for source in (_MAIL, _right("web__fetch_page"), _right("*.example", kind=_HOST)):
        assert danger in [what for what, _, _ in _dangers(source, does)]


def test_a_person_on_the_way_takes_the_danger_away() -> None:
    held = _right("crm__erase", tier="irreversible", gate=ASK, by=("autonomy",))
    assert _dangers(_MAIL, held) == []
    assert reach("triage", [held], []).ungated == ()


def test_what_is_refused_is_no_danger() -> None:
    refused = _right("mail__send", tier="write", gate=DENY)
    assert _dangers(_ORDERS, refused) == []
    gone = _right("crm__erase", tier="irreversible", gate=DENY)
    assert reach("triage", [gone], []).ungated == ()


@pytest.mark.parametrize("name", ["sender__list", "crm__resend_report_list", "crm__sent"])
def test_only_whole_words_of_a_tools_own_name_count(name: str) -> None:
    assert _dangers(_ORDERS, _right(name, tier="write")) == []


def test_a_way_to_what_cannot_be_undone_is_named_with_what_stands_on_it() -> None:
    sometimes = _right("crm__drop", tier="irreversible", gate=SOMETIMES, by=("night",))
    found = reach("triage", [_ERASE, sometimes, _ORDERS], []).ungated
    assert [(each.path, each.only_if) for each in found] == [
        (("triage", "crm__erase"), ()),
        (("triage", "crm__drop"), ("night",)),
    ]


def test_what_is_declared_and_never_used_is_told() -> None:
    rights = [
        _right("crm__get_orders", uses=3),
        _right("crm__erase"),
        _right("*.example", kind=_HOST),
        _right("small", kind=ActionKind.MODEL_CALL, uses=9),
    ]
    scope = [
        ("tools", "crm__get_*"),
        ("tools", "crm__erase"),
        ("tools", "files__*"),
        ("hosts", "*.example"),
        ("models", "small"),
    ]
    found = reach("triage", rights, scope).unused
    assert [(each.key, each.pattern, each.rights) for each in found] == [
        ("tools", "crm__erase", 1),
        ("tools", "files__*", 0),
        ("hosts", "*.example", 1),
    ]


def test_what_sounds_irreversible_and_is_not_called_so_is_told() -> None:
    rights = [
        _right("crm__deleteOrder", tier="consequential"),
        _right("crm__delete_all", tier="irreversible"),
        _right("crm__drop_cart", tier="write", gate=ASK),
        _right("crm__undelete", tier="write"),
    ]
    assert reach("triage", rights, []).unmarked == ("crm__deleteOrder",)
