"""Evidence reads as what a person would have seen, and can move no terminal."""

from hypothesis import given
from hypothesis import strategies as some

from ringfence.domain.observation import Seen
from ringfence.protocols.evidence import read


def text(what: str, body: bytes) -> str:
    answer = read(what, body).answer
    assert answer is not None
    return answer.parts[0].text


def test_a_terminal_is_read_without_what_moves_it() -> None:
    body = b"\x1b]0;title\x07$ \x1b[1;32mls\x1b[0m\r\n10%\r50%\r100%\r\ndone\r\n"
    assert text(Seen.TRANSCRIPT, body) == "$ ls\n100%\ndone\n"


@given(some.binary(max_size=300))
def test_no_control_character_is_left_whatever_was_printed(body: bytes) -> None:
    shown = text(Seen.TRANSCRIPT, body)
    assert not any(ord(each) < 32 and each not in "\n\t\r" for each in shown)
    assert "\x7f" not in shown


def test_changed_files_are_lines() -> None:
    body = (
        b'{"counts":{},"added":[{"path":"a.sh","size":5,"is_executable":true}],'
        b'"changed":[{"path":"b","kind":"link","size":3}],"removed":["c"],"is_partial":true}'
    )
    assert text(Seen.WORKSPACE, body).splitlines() == [
        "+ a.sh (5 B, executable)",
        "~ b (3 B, link)",
        "- c",
        "… not everything was looked at",
    ]


def test_what_cannot_be_read_is_shown_as_it_is() -> None:
    assert text(Seen.WORKSPACE, b"[masked]") == "[masked]"
