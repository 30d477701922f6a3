import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.error import UsageError
from ringfence.protocols import checkpoint
from ringfence.protocols.checkpoint import Checkpoint, Resumption, resumed, resumption

# The example of C2SP tlog-checkpoint.
PUBLISHED = "example.com/behind-the-sofa\n20852163\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
LINES = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=20)
CHECKPOINTS = st.builds(
    Checkpoint,
    origin=LINES,
    size=st.integers(0, 2**60),
    root=st.binary(min_size=32, max_size=32),
    extensions=st.lists(LINES, max_size=3).map(tuple),
)


def test_the_published_checkpoint_is_read_and_written_again() -> None:
    read = checkpoint.parse(PUBLISHED)
    assert (read.origin, read.size) == ("example.com/behind-the-sofa", 20_852_163)
    assert read.root.hex().startswith("0ac5186a91863e8e")
    assert checkpoint.render(read) == PUBLISHED


@given(CHECKPOINTS)
def test_what_is_written_is_read_as_the_same(written: Checkpoint) -> None:
    assert checkpoint.parse(checkpoint.render(written)) == written


@pytest.mark.parametrize(
    "text",
    [
        "",
        "o\n1\n",
        PUBLISHED[:-1],
        PUBLISHED + "\n",
        PUBLISHED.replace("20852163", "020852163"),
        PUBLISHED.replace("20852163", "-1"),
        PUBLISHED.replace("20852163", "٣"),
        PUBLISHED.replace("20852163", "1" * 20),
        PUBLISHED.replace("CsU", "Cs"),
        PUBLISHED.replace("CsUYapGG", ""),
        PUBLISHED.replace("q2I=", "q2J="),
        "\n" + PUBLISHED,
        PUBLISHED + "a\tb\n",
    ],
)
def test_what_is_no_checkpoint_is_refused(text: str) -> None:
    with pytest.raises(UsageError) as caught:
        checkpoint.parse(text)
    assert caught.value.code == "note_malformed"


@pytest.mark.parametrize("origin", ["", "evil\n999", "a\x00"])
def test_a_line_that_would_be_two_is_not_written(origin: str) -> None:
    with pytest.raises(UsageError):
        checkpoint.render(Checkpoint(origin=origin, size=0, root=bytes(32)))


def test_a_checkpoint_tells_what_it_covers_late() -> None:
    late = Resumption(size=7, time_us=1_795_000_000_000_000)
    one = Checkpoint(origin="o", size=9, root=bytes(32), extensions=("other", resumed(late)))
    assert resumption(checkpoint.parse(checkpoint.render(one))) == late
    assert resumption(checkpoint.parse(PUBLISHED)) is None
    odd = Checkpoint(origin="o", size=9, root=bytes(32), extensions=("resumed 7", "resumed x 1"))
    assert resumption(odd) is None
