import json

import pytest

from ringfence.protocols.mcp import elicitation

PAGE = "https://plane.example/approvals/apr_1"


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        (b"{}", set()),
        (b"", set()),
        (b'{"elicitation": null}', set()),
        (b'{"elicitation": {}}', {"form"}),
        (b'{"elicitation": {"url": {}}}', {"url"}),
        (b'{"elicitation": {"form": {}, "url": {}}}', {"form", "url"}),
        (b'{"elicitation": {"form": {}, "form": {}}}', set()),
        (b'{"elicitation": ', set()),
        (b"[]", set()),
    ],
)
def test_what_a_client_can_show_its_user_is_what_it_declares(
    capabilities: bytes, expected: set[str]
) -> None:
    assert elicitation.modes(capabilities) == expected


def test_a_pointer_is_a_page_where_there_is_one_and_else_a_form_without_a_question() -> None:
    both = b'{"elicitation": {"form": {}, "url": {}}}'
    page = json.loads(elicitation.pointer(both, "apr_1", "look.", PAGE))
    assert page == {"mode": "url", "elicitationId": "apr_1", "url": PAGE, "message": "look."}
    form = json.loads(elicitation.pointer(both, "apr_1", "look.", ""))
    assert form == {
        "message": "look.",
        "requestedSchema": {"type": "object", "properties": {}},
    }
    old = json.loads(elicitation.pointer(b'{"elicitation": {}}', "apr_1", "look.", PAGE))
    assert old["message"] == f"look. See {PAGE}"


def test_who_can_show_nothing_is_not_asked() -> None:
    assert elicitation.pointer(b"{}", "apr_1", "look.", PAGE) == b""
    assert elicitation.pointer(b'{"elicitation": {"url": {}}}', "apr_1", "look.", "") == b""


def test_pages_that_a_server_wants_visited_are_asked_for_in_the_modern_way() -> None:
    data = json.dumps(
        {
            "elicitations": [
                {"mode": "url", "elicitationId": "e1", "url": PAGE, "message": "log in"},
                {"mode": "url", "url": "javascript:alert(1)"},
            ]
        }
    ).encode()
    found = json.loads(elicitation.required(data))
    assert found["resultType"] == "input_required"
    assert "requestState" not in found
    [asked] = found["inputRequests"].values()
    assert asked == {
        "method": "elicitation/create",
        "params": {"mode": "url", "elicitationId": "e1", "url": PAGE, "message": "log in"},
    }
    assert PAGE in elicitation.in_words(data)
    assert "javascript" not in elicitation.in_words(data)


@pytest.mark.parametrize("data", [b"", b"{}", b"[]", b'{"elicitations": 1}', b"\xff"])
def test_an_error_that_names_no_page_asks_for_none(data: bytes) -> None:
    assert elicitation.required(data) == b""
    assert "visit a page first" in elicitation.in_words(data)
