import itertools
import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.enforcement.credential import (
    SECRET_BYTES_MIN,
    CredentialScan,
    SpeechScan,
    StreamScan,
)

KEY = "sk-canary/0123456789+abc?e"
RAW = KEY.encode()
PERCENT = "".join(f"%{byte:02x}" for byte in RAW)
UNICODE = "".join(f"\\u00{byte:02X}" for byte in RAW)

SHOWN = {
    "raw": RAW,
    "json": json.dumps(KEY, ensure_ascii=False).encode(),
    "json slashes": KEY.replace("/", "\\/").encode(),
    "json escapes": UNICODE.encode(),
    "url": quote(KEY, safe="").encode(),
    "url whole": PERCENT.encode(),
    "base64": b64encode(RAW),
    "base64 in json": b64encode(RAW).replace(b"/", b"\\/"),
    "base64 in url": quote(b64encode(b"Bearer " + RAW + b"\n"), safe="").encode(),
    "url-safe base64": urlsafe_b64encode(b"x-api-key: " + RAW),
    "url twice": quote(PERCENT, safe="").encode(),
    "json twice": json.dumps(UNICODE)[1:-1].encode(),
    "html": "".join(f"&#{byte};" for byte in RAW).encode(),
    "basic": b64encode(b"user:" + RAW + b"!"),
}


@pytest.mark.parametrize("shown", SHOWN.values(), ids=SHOWN)
def test_a_credential_is_found_in_every_form(shown: bytes) -> None:
    scan = CredentialScan(RAW)
    assert scan.finds(b'{"text":"it is ' + shown + b' indeed"}')
    part = shown[len(shown) // 2 :]
    assert not scan.finds(b'{"text":"it is ' + part + b' \\/ 100% %20 \\u0041 indeed"}')


@pytest.mark.parametrize("shown", SHOWN.values(), ids=SHOWN)
def test_a_credential_is_found_across_any_two_pieces(shown: bytes) -> None:
    whole = b"before " + shown + b" after"
    for cut in range(1, len(whole)):
        stream = StreamScan(CredentialScan(RAW))
        assert [stream.finds(whole[:cut]), stream.finds(whole[cut:])].count(True) > 0


def test_a_credential_is_found_byte_by_byte_and_before_its_last_byte_passes() -> None:
    stream = StreamScan(CredentialScan(RAW))
    found = [stream.finds(bytes([byte])) for byte in b"before " + RAW]
    assert list(itertools.compress(itertools.count(), found)) == [len(b"before " + RAW) - 1]


@pytest.mark.parametrize("end", [b"\n", b"\r\n"])
def test_a_credential_is_found_across_pieces_that_end_with_its_lines(end: bytes) -> None:
    encoded = b64encode(b"the key is " + RAW * 2)
    lines = [encoded[at : at + 24] + end for at in range(0, len(encoded), 24)]
    stream = StreamScan(CredentialScan(RAW * 2))
    assert any(stream.finds(line) for line in lines)


def test_a_placeholder_is_no_credential() -> None:
    short = b"x" * (SECRET_BYTES_MIN - 1)
    assert not CredentialScan(short).finds(short)
    assert not StreamScan(CredentialScan(short)).finds(short)
    assert CredentialScan(short + b"x").finds(b" xxxxxxxxxxxxxxxx ")


SECRET = "sk-proj-0123456789abcdefghijklmnop"


@given(st.sets(st.integers(1, len(SECRET) - 1)), st.text(max_size=40))
def test_a_credential_spelled_in_pieces_never_passes_whole(cuts: set[int], before: str) -> None:
    bounds = [0, *sorted(cuts), len(SECRET)]
    pieces = [before, *[SECRET[a:b] for a, b in itertools.pairwise(bounds)]]
    scan = SpeechScan(CredentialScan(SECRET.encode()))
    passed = list(itertools.takewhile(lambda piece: not scan.finds([(0, piece)]), pieces))
    assert len("".join(passed)) < len(before) + len(SECRET) // 2


def test_pieces_of_different_answers_are_not_joined() -> None:
    scan = SpeechScan(CredentialScan(SECRET.encode()))
    assert not scan.finds([(number, SECRET[number]) for number in range(len(SECRET))])
    assert not scan.finds([(0, SECRET[1:9]), (1, "other"), (0, SECRET[9:12])])
    assert scan.finds([(0, SECRET[12:])])


def test_a_short_credential_is_not_looked_for_in_what_is_said() -> None:
    assert not SpeechScan(CredentialScan(b"ollama")).finds([(0, "ollama")])
