"""A stored command reads as it was told to a shell."""

from ringfence.domain.exchange import Part
from ringfence.protocols.command_exchange import CommandReader


def parts(request: bytes, response: bytes = b"") -> list[Part]:
    answer = CommandReader().read_exchange(request, response, streamed=False).answer
    assert answer is not None
    return list(answer.parts)


def test_a_command_shows_its_line_its_file_and_where_it_ran() -> None:
    body = b'{"path":"/usr/bin/git","line":"git log","argv":["git","log"],"directory":"/project"}'
    command, directory, *arguments = parts(body)
    assert (command.kind, command.text, command.name) == ("command", "git log", "/usr/bin/git")
    assert (directory.kind, directory.text) == ("directory", "/project")
    assert [each.text for each in arguments] == ["git", "log"]


def test_what_an_agent_tells_of_the_end_is_shown() -> None:
    assert parts(b'{"line":"ls"}', b'{"stdout":"a"}')[-1].text == '{"stdout":"a"}'


def test_what_was_masked_beyond_reading_is_shown_as_it_is() -> None:
    assert parts(b"[masked]")[0].text == "[masked]"


def test_what_is_not_kept_is_told() -> None:
    body = b'{"path":"/usr/bin/git","line":"git","cut":{"bytes":9,"sha256":"ab","more":true}}'
    assert parts(body)[-1] == Part(
        kind="cut", text="9 bytes of words were read, and there were more: SHA-256 ab"
    )
    assert parts(b'{"line":"git","cut":{"bytes":9,"sha256":"ab"}}')[-1].text == (
        "9 bytes of words were read: SHA-256 ab"
    )
