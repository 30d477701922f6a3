import base64

import pytest

from ringfence.enforcement.tool_secret import SecretScans
from ringfence.stores.secret import EnvironmentSecrets

KEY = "sk-canary-0123456789abcdef/+tail"


def scans(**values: str) -> SecretScans:
    return SecretScans(EnvironmentSecrets(frozenset(values), values))


@pytest.mark.parametrize(
    "shown",
    [
        KEY.encode(),
        base64.b64encode(KEY.encode()),
        KEY.replace("/", "\\/").encode(),
        KEY.replace("-", "%2D").encode(),
    ],
)
def test_a_known_credential_is_found_in_its_usual_forms(shown: bytes) -> None:
    assert scans(ONE="another-secret-of-the-plane", TWO=KEY).finds(b'{"text":"' + shown + b'"}')


def test_a_token_that_was_got_is_looked_for_and_so_are_the_last_before_it() -> None:
    found = scans(ONE="another-secret-of-the-plane")
    tokens = [f"a-token-of-a-server-{number:08}" for number in range(6)]
    for token in tokens:
        found.learn("/crm", token)
    assert [found.finds(token.encode()) for token in tokens] == [False, False, *[True] * 4]
    found.replace(EnvironmentSecrets(frozenset(), {}))
    assert found.finds(tokens[-1].encode())
    assert found.finds(b"another-secret-of-the-plane")


def test_what_only_looks_like_a_secret_is_not_one() -> None:
    found = scans(ONE=KEY, SHORT="ollama")
    for text in (b"sk-proj-aaaaaaaaaaaaaaaaaaaaaaaa", b"AKIAIOSFODNN7EXAMPLE", b"ollama", b""):
        assert not found.finds(text)


def test_after_a_change_the_new_ones_are_looked_for_and_the_last_before_them() -> None:
    found = scans(ONE=KEY)
    values = [KEY, *(f"the-new-secret-{number:010}" for number in range(6))]
    for value in values[1:]:
        found.replace(EnvironmentSecrets(frozenset({"ONE"}), {"ONE": value}))
        assert found.finds(value.encode())
    assert [found.finds(value.encode()) for value in values] == [False] * 2 + [True] * 5


def test_what_is_kept_shows_none_of_them_and_says_how_often_one_was_there() -> None:
    body, found = scans(ONE=KEY, SHORT="ollama").redacted(f"a {KEY} b ollama {KEY}".encode())
    assert KEY.encode() not in body
    assert body.endswith(b"b ollama " + b"*" * len(KEY))
    assert found == {"ONE": 2}
