import pytest

from ringfence.protocols.tool_exchange import ToolReader


def shown(request: bytes, response: bytes) -> list[tuple[str, str]]:
    answer = ToolReader().read_exchange(request, response, streamed=False).answer
    assert answer is not None
    return [(part.kind, part.text) for part in answer.parts]


def test_arguments_and_result_are_shown() -> None:
    response = b'{"content":[{"type":"text","text":"one"},{"type":"text","text":"two"}]}'
    assert shown(b'{"id": 7}', response) == [("tool_call", '{"id":7}'), ("tool_result", "one\ntwo")]


@pytest.mark.parametrize(
    ("response", "text"),
    [
        (b'{"content":[],"structuredContent":{"n": 1}}', '{"n":1}'),
        (b'{"content":[{"type":"image","data":"x"}]}', '{"content":[{"type":"image","data":"x"}]}'),
        (b"cut off {", "cut off {"),
    ],
)
def test_what_has_no_text_is_shown_as_it_is(response: bytes, text: str) -> None:
    assert shown(b"{}", response)[1] == ("tool_result", text)


def test_a_call_without_a_result_shows_its_arguments() -> None:
    assert shown(b"nonsense", b"") == [("tool_call", "nonsense")]
