"""As much of a command's words is kept as a sandbox may have kept, and what is not is told."""

import hashlib
import shlex

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from ringfence.enforcement.command_words import CUT_BYTES, CutArguments, arguments_of, cut

WORDS = st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])))


def decoded(kept: bytes) -> CutArguments:
    return msgspec.json.decode(kept, type=CutArguments)


@given(WORDS, st.integers(1, 60))
def test_what_is_kept_is_a_beginning_and_what_is_not_can_be_told_by_its_hash(
    words: list[str], most: int
) -> None:
    found = decoded(cut(arguments_of("/usr/bin/git", tuple(words), "/project"), most))
    read = b"".join(word.encode() + b"\0" for word in words)
    assert (found.cut.bytes, found.cut.more) == (len(read), False)
    assert found.cut.sha256 == hashlib.sha256(read).hexdigest()
    assert (found.path, found.directory) == ("/usr/bin/git", "/project")
    assert found.line == shlex.join(found.argv)
    assert all(
        whole.startswith(kept)
        for kept, whole in zip(found.argv, words[: len(found.argv)], strict=True)
    )
    assert sum(len(each.encode()) for each in found.argv) <= most


def test_a_long_command_is_short_on_the_record() -> None:
    long = arguments_of("/usr/bin/git", ("git", "x" * 60_000), "/project")
    assert len(cut(long)) < 3 * CUT_BYTES
    assert decoded(cut(long)).argv == ("git", "x" * (CUT_BYTES - 3))


def test_what_was_cut_when_it_was_read_says_so_and_keeps_what_was_read() -> None:
    read = arguments_of("/usr/bin/git", ("git", "x" * 60_000), "/project")
    found = decoded(cut(read, None, has_more=True))
    assert found.argv == ("git", "x" * 60_000)
    assert (found.cut.bytes, found.cut.more) == (60_005, True)
