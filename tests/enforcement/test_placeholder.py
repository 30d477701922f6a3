import gzip
import re
from base64 import b64encode

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.secret import FromStore, InHeader, SecretBinding, SecretDefinition
from ringfence.enforcement.placeholder import Placeholders, shaped

VALUE = "sk-ant-api03-Ab3dEf6hIj9lMn2pQr5tUv8x-AA"


def secret(name: str, variable: str, host: str) -> SecretDefinition:
    binding = SecretBinding(host=host, location=InHeader())
    return SecretDefinition(
        name=name, origin=FromStore(), bindings=(binding,), placeholder=variable
    )


CRM = secret("crm", "CRM_KEY", "crm.example")
GIT = secret("git", "GIT_TOKEN", "git.example")
HIDDEN = secret("hidden", "", "hidden.example")


def held() -> Placeholders:
    return Placeholders([CRM, GIT, HIDDEN], {"crm": VALUE, "git": "short", "hidden": "x"})


@pytest.mark.parametrize(
    ("value", "shape"),
    [
        (VALUE, r"sk-ant-api03-[A-Z][a-z][0-9][a-z][A-Z][a-z][0-9].{17}-[A-Z]{2}"),
        ("ghp_" + "0aB" * 12, r"ghp_(?:[0-9][a-z][A-Z]){12}"),
        ("AKIA" + "Q7" * 8, r"AKIA(?:[A-Z][0-9]){8}.{8}"),
        ("hunter2", r"[a-z]{6}[0-9][a-z]{17}"),
        ("käse/brot+wein " * 4, r"[A-Za-z0-9]{60}"),
    ],
)
def test_a_placeholder_has_the_shape_of_its_secret(value: str, shape: str) -> None:
    assert re.fullmatch(shape, shaped(value))


@given(st.text(min_size=8, max_size=80))
def test_it_is_random_and_has_nothing_of_the_value(value: str) -> None:
    first, second = shaped(value), shaped(value)
    assert first != second
    assert len(first) == max(len(value), 24) or first.startswith(("sk", "pk", "rk"))
    assert first.isascii()
    assert first.isprintable()


def test_two_sandboxes_hold_different_ones() -> None:
    one, two = held(), held()
    assert one.variables.keys() == two.variables.keys() == {"CRM_KEY", "GIT_TOKEN"}
    assert not set(one.variables.values()) & set(two.variables.values())
    assert VALUE not in one.variables.values()
    assert one.of("crm") == one.variables["CRM_KEY"]
    assert one.of("hidden") == ""


def test_one_without_a_value_yet_is_long_enough() -> None:
    assert len(Placeholders([CRM], {}).of("crm")) == 40


@pytest.mark.parametrize("encode", [bytes, b64encode, lambda text: b64encode(b"user:" + text)])
def test_a_placeholder_for_another_host_is_found(encode: type[bytes]) -> None:
    mine = held()
    text = b"authorization: " + encode(mine.of("crm").encode())
    assert mine.misplaced(text, "evil.example", 443) == "crm"
    assert mine.misplaced(text, "crm.example", 80) == "crm"
    assert mine.misplaced(text, "git.example", 443) == "crm"
    assert mine.misplaced(text, "crm.example", 443) is None
    assert mine.misplaced(b"authorization: nothing", "evil.example", 443) is None


@pytest.mark.parametrize("size", [1, 5, 1000])
def test_a_body_is_watched_across_its_pieces(size: int) -> None:
    mine = held()
    body = b'{"a": "' + mine.of("git").encode() + b'"}'
    watch, own = mine.watch("evil.example", 443), mine.watch("git.example", 443)
    pieces = [body[at : at + size] for at in range(0, len(body), size)]
    assert "git" in {watch.finds(piece) for piece in pieces}
    assert {own.finds(piece) for piece in pieces} == {None}


def test_what_is_packed_to_be_much_is_not_looked_into_as_deeply() -> None:
    """Else 64 KB that an agent sends would keep a worker busy for seconds."""
    mine = held()
    token = mine.of("git").encode()
    hidden = b"".join(b"%%%02x" % each for each in token)
    filling = (b"%2541" * 200 + bytes(range(0, 250, 7))) * 400
    for text, found in (
        (hidden + filling, "git"),
        (filling + token, "git"),
        (filling + hidden, ""),
    ):
        watch = mine.watch("evil.example", 443, b"gzip")
        assert (watch.finds(gzip.compress(text)) or "") == found


def test_only_names_are_shown() -> None:
    mine = held()
    assert repr(mine) == "Placeholders(['crm', 'git'])"
