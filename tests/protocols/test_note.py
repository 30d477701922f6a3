"""Notes: the published one, every way round, and what must not be read."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.error import UsageError
from ringfence.protocols import note
from ringfence.protocols.note import COSIGNATURE, Note, Signature, VerifierKey

# The example of C2SP signed-note.
PUBLISHED = (
    "Ognuno sta solo sul cuor della terra\n"
    "trafitto da un raggio di sole:\n"
    "\n"
    "ed è subito sera.\n"
    "\n"
    "— quasimodo.example/salvatore NnugSzTjtVAewIS+Z/iJhUPeFDkO/5QQ2i5ddnGITLlC+EhfLW9oJKONrMouFSQU"
    "0xMcXxj99ihAQwaqP3ZekRwNtIc=\n"
).encode()

NAMES = st.text(st.characters(exclude_categories=("Z", "C")), min_size=1, max_size=10).filter(
    lambda name: "+" not in name
)
LINES = st.text(st.characters(exclude_categories=("Cc", "Cs")), max_size=20)
SIGNATURES = st.builds(
    Signature,
    name=NAMES,
    key_id=st.binary(min_size=4, max_size=4),
    data=st.binary(min_size=1, max_size=72),
)
NOTES = st.builds(
    Note,
    text=st.lists(LINES, min_size=1, max_size=4)
    .filter(lambda lines: lines[0] != "")
    .map(lambda lines: "\n".join(lines) + "\n"),
    signatures=st.lists(SIGNATURES, min_size=1, max_size=3).map(tuple),
)


def test_the_published_note_is_read_and_written_again() -> None:
    read = note.parse(PUBLISHED)
    assert read.text.endswith("\n\ned è subito sera.\n")
    assert read.signatures[0].name == "quasimodo.example/salvatore"
    assert read.signatures[0].key_id.hex() == "367ba04b"
    assert note.render(read) == PUBLISHED


@given(NOTES)
def test_what_is_written_is_read_as_the_same(written: Note) -> None:
    assert note.parse(note.render(written)) == written


@given(st.lists(NOTES.filter(lambda each: "\n\n" not in f"{each.text}"), max_size=4))
def test_notes_written_one_after_another_are_cut_apart(notes: list[Note]) -> None:
    plain = [each for each in notes if not each.text.startswith(("— ", "\n"))]
    data = b"".join(map(note.render, plain))
    assert [note.parse(each) for each in note.split(data)] == plain


@given(NOTES, st.data())
def test_a_cut_note_is_refused(written: Note, data: st.DataObject) -> None:
    whole = note.render(written)
    last_line = whole.rindex("— ".encode(), 0, len(whole))
    cut = data.draw(st.integers(0, last_line + 3))
    if len(written.signatures) == 1 and "\n\n— " not in written.text:
        with pytest.raises(UsageError, match="signed note"):
            note.parse(whole[:cut])


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\n",
        b"text\n",
        b"text\n\n",
        b"\n\n",
        "text\n\n— name AAAAAAA=".encode(),
        "text\n\n— name\n".encode(),
        b"text\n\n- name AAAAAAA=\n",
        "text\n\n— name AAAAAA==\n".encode(),
        "text\n\n— name AAAAAAB=\n".encode(),
        "text\n\n— name AAAA AAA=\n".encode(),
        "text\n\n— na+me AAAAAAA=\n".encode(),
        "text\n\n—  AAAAAAA=\n".encode(),
        "te\rxt\n\n— name AAAAAAA=\n".encode(),
        "te\txt\n\n— name AAAAAAA=\n".encode(),
        b"te\xffxt\n\n\xe2\x80\x94 name AAAAAAA=\n",
        b"text\n\n" + 65 * "— name AAAAAAA=\n".encode(),
        b"x" * 1_000_001,
    ],
)
def test_what_is_no_note_is_refused(data: bytes) -> None:
    with pytest.raises(UsageError) as caught:
        note.parse(data)
    assert caught.value.code == "note_malformed"


@pytest.mark.parametrize("text", ["", "no line feed", "one\n\n— a AAAAAAA=\n"])
def test_a_text_that_would_read_otherwise_is_not_written(text: str) -> None:
    one = Signature(name="name", key_id=b"1234", data=b"x")
    if text.startswith("one"):
        assert note.parse(note.render(Note(text=text, signatures=(one,)))).text == text
        return
    with pytest.raises(UsageError):
        note.render(Note(text=text, signatures=(one,)))


@given(NAMES, st.binary(min_size=32, max_size=32), st.sampled_from([0x01, COSIGNATURE]))
def test_keys_are_read_as_they_are_written(name: str, public: bytes, kind: int) -> None:
    key = VerifierKey(name=name, public=public, kind=kind)
    assert note.parse_key(str(key)) == key


def test_the_published_key_is_read() -> None:
    # The example of Go's golang.org/x/mod/sumdb/note.
    text = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
    key = note.parse_key(text)
    assert key.name == "PeterNeumann"
    assert str(key) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "name",
        "PeterNeumann+c74f20a4+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "Peter Neumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
        "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq",
        "PeterNeumann+c74f20a3+",
        "PeterNeumann+c74f20a3+!",
    ],
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        note.parse_key(text)
    assert caught.value.code == "key_malformed"
