import html
import json
from base64 import b64encode, urlsafe_b64encode
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.protocols.secret_form import base64_cores, forms

SECRET = b"s3cr3t/+ value\"<&>'\\end"
STAND_IN = b"p4aceh/+ older\"<&>'\\end"


@given(st.binary(max_size=7), st.binary(max_size=7))
def test_base64_shows_a_core_wherever_the_secret_stands(before: bytes, after: bytes) -> None:
    assert base64_cores(SECRET)[len(before) % 3] in b64encode(before + SECRET + after)


@pytest.mark.parametrize(
    "shown",
    [
        SECRET,
        b64encode(SECRET),
        urlsafe_b64encode(b"xy" + SECRET),
        SECRET.hex().encode(),
        SECRET.hex().upper().encode(),
        SECRET.decode().encode("utf-16-le"),
        SECRET.decode().encode("utf-16-be"),
        json.dumps(SECRET.decode())[1:-1].encode(),
        json.dumps(SECRET.decode())[1:-1].replace("/", "\\/").encode(),
        html.escape(SECRET.decode()).encode(),
        SECRET.replace(b" ", b"+"),
    ],
)
def test_every_usual_form_is_known(shown: bytes) -> None:
    assert any(form in shown for form in forms(SECRET))


def test_what_takes_its_place_is_as_long_and_of_the_same_form() -> None:
    found = forms(SECRET, STAND_IN)
    assert all(len(form) == len(instead) for form, instead in found.items())
    assert found[SECRET] == STAND_IN
    assert found[SECRET.hex().encode()] == STAND_IN.hex().encode()
    assert found[base64_cores(SECRET)[1]] == base64_cores(STAND_IN)[1]


def test_asterisks_take_the_place_of_what_has_no_stand_in_as_long() -> None:
    for stand_in in (b"", b"short"):
        assert set(b"".join(forms(SECRET, stand_in).values())) == {ord("*")}


def test_a_plain_key_has_few_forms() -> None:
    assert len(forms(b"sk-0123456789abcdefghijklmnopqrstuv")) <= 11
    assert quote("sk-0123_4") == "sk-0123_4"
