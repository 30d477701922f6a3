import pytest
from tests.stores.ledger.event import intent, observation, refusal

from ringfence.domain.error import UsageError
from ringfence.protocols import canonical
from ringfence.stores.ledger.format import decode

# A leaf as version 1 wrote it. INVARIANT: never edited; a format that cannot read it any more would
# make written ledgers unreadable.
LEAF_1 = (
    b'{"actor":"cli:uid=1000","configuration":"sha256:1","detail":{"agent":"agt_1"},"epoch":1,'
    b'"format":1,"invocation":"inv_1","kind":"change","log":"log_1","organisation":"org_a",'
    b'"root":"inv_1","sequence":7,"subject":"inv_1","time_us":"1795000000000000",'
    b'"what":"invocation.opened"}'
)


def test_a_leaf_of_version_1_reads_and_is_written_the_same() -> None:
    event = decode(LEAF_1)
    assert event.sequence == 7
    assert canonical.encode(event) == LEAF_1


def test_events_come_back_as_they_were_written() -> None:
    for event in (intent("act_1"), refusal("act_2", repeats=3), observation("act_3")):
        assert decode(canonical.encode(event)) == event


@pytest.mark.parametrize(
    ("leaf", "code"),
    [
        (LEAF_1.replace(b'"format":1', b'"format":2'), "event_format_unknown"),
        (LEAF_1.replace(b'"format":1,', b""), "event_unreadable"),
        (LEAF_1[:-1], "event_unreadable"),
        (LEAF_1.replace(b"change", b"wish"), "event_unreadable"),
        (b"", "event_unreadable"),
    ],
)
def test_what_cannot_be_read_is_said_so(leaf: bytes, code: str) -> None:
    with pytest.raises(UsageError) as caught:
        decode(leaf)
    assert caught.value.code == code
