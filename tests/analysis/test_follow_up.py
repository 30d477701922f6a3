import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.analysis.follow_up import Missing, arguments, mismatches
from ringfence.domain.tool_rule import FollowUp, Postcondition


def test_arguments_are_taken_from_the_call_and_its_result() -> None:
    follow_up = FollowUp(
        call="x",
        arguments=(
            ("id", b'"$.arguments.order.id"'),
            ("line", b'"$.result.lines[1].sku"'),
            ("deep", b"true"),
            ("all", b'"$.result"'),
            ("text", b'"plain"'),
        ),
    )
    made = arguments(follow_up, b'{"order":{"id":7}}', b'{"lines":[{"sku":"a"},{"sku":"b"}]}')
    assert made == (
        b'{"id":7,"line":"b","deep":true,"all":{"lines":[{"sku":"a"},{"sku":"b"}]},"text":"plain"}'
    )


@pytest.mark.parametrize(
    "path", ["$.result.id", "$.result[0]", "$.arguments.a.b", "$.result.lines[9]", "$.result..x!"]
)
def test_a_path_that_leads_nowhere_is_named(path: str) -> None:
    follow_up = FollowUp(call="x", arguments=(("id", f'"{path}"'.encode()),))
    assert arguments(follow_up, b'{"a":1}', b'{"lines":[]}') == Missing(path)


def test_what_must_be_so_is_compared_as_json() -> None:
    rule = Postcondition(
        pattern="*",
        check=FollowUp(call="x"),
        expect=(("status", b'"done"'), ("items[0].paid", b"true"), ("left", b"0")),
    )
    assert mismatches(rule, b'{"status":"done","items":[{"paid":true}],"left":0}') == ()
    assert mismatches(rule, b'{"status":"open","items":[{"paid":1}]}') == (
        '`status` is "open" and must be "done"',
        "`items[0].paid` is 1 and must be true",
        "`left` is missing and must be 0",
    )
    assert mismatches(rule, b"nonsense") == ("the check's answer cannot be read",)


@given(st.text(max_size=20))
def test_no_path_is_more_than_a_missing_value(path: str) -> None:
    rule = Postcondition(pattern="*", check=FollowUp(call="x"), expect=((path, b"1"),))
    assert isinstance(mismatches(rule, b'{"a":{"b":[1]}}'), tuple)
