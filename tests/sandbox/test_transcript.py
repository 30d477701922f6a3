"""A transcript keeps both ends of what was printed, and says what it does not keep."""

from hypothesis import given
from hypothesis import strategies as some

from ringfence.sandbox.transcript import Transcript


def test_what_is_short_is_kept_whole() -> None:
    transcript = Transcript()
    transcript.see(b"$ make\r\n")
    transcript.see(b"done\r\n")
    assert transcript.body() == b"$ make\r\ndone\r\n"


@given(some.lists(some.binary(max_size=40), max_size=40))
def test_both_ends_are_kept_however_it_was_split(pieces: list[bytes]) -> None:
    transcript, whole = Transcript(head=50, tail=30), b"".join(pieces)
    for each in pieces:
        transcript.see(each)
    body = transcript.body()
    assert len(transcript) == len(whole)
    if len(whole) <= 80:
        assert body == whole
        return
    left_out = len(whole) - 80
    mark = b"\r\n[ringfence: %d bytes are left out here]\r\n" % left_out
    assert body == whole[:50] + mark + whole[-30:]


def test_what_is_held_is_bounded_whatever_is_printed() -> None:
    transcript = Transcript(head=10, tail=10)
    for _ in range(1_000):
        transcript.see(b"x" * 1_000)
    assert transcript._held < 1_000 + 10  # noqa: SLF001 (what is held)
    assert len(transcript.body()) < 100
