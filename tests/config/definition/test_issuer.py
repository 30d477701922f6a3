from collections.abc import Callable
from pathlib import Path

import pytest
from tests.signing import key, key_set

from ringfence.config.loading import Loaded
from ringfence.domain.issuer import Issuer, SignatureAlgorithm

HEAD = "format: 1\norganisation: acme\nissuers:\n"
PLAIN = 'issuer: "https://login.acme.example", audience: ringfence'
WHOLE = (
    '  acme: {issuer: "https://login.acme.example", audience: ringfence, keys: keys.json,'
    ' algorithms: [RS256, EdDSA], user_claim: email, users: ["*@acme.example"], clock_skew: 5}\n'
)


def test_an_issuer_with_a_key_file_is_read(
    load_text: Callable[..., Loaded], tmp_path: Path
) -> None:
    keys = key_set(key())
    (tmp_path / "keys.json").write_bytes(keys)
    loaded = load_text(HEAD + WHOLE)
    assert loaded.configuration.organisations["acme"].issuers["acme"] == Issuer(
        name="acme",
        issuer="https://login.acme.example",
        audience="ringfence",
        keys=keys.decode(),
        algorithms=(SignatureAlgorithm.RS256, SignatureAlgorithm.EDDSA),
        user_claim="email",
        users=("*@acme.example",),
        clock_skew_s=5,
    )
    (tmp_path / "keys.json").write_bytes(key_set(key("EC", "two")))
    assert load_text(HEAD + WHOLE).configuration.digest != loaded.configuration.digest


def test_an_issuer_with_a_url_has_defaults(load_text: Callable[..., Loaded]) -> None:
    text = HEAD + f'  acme: {{{PLAIN}, keys_url: "https://login.acme.example/keys?v=2"}}\n'
    found = load_text(text).configuration.organisations["acme"].issuers["acme"]
    assert (found.keys, found.keys_url) == ("", "https://login.acme.example/keys?v=2")
    assert found.algorithms == (SignatureAlgorithm.RS256, SignatureAlgorithm.ES256)
    assert (found.user_claim, found.users, found.clock_skew_s) == ("sub", ("*",), 30)


@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        ("", "needs one of `keys` and `keys_url`"),
        (', keys: a, keys_url: "https://a.example"', "needs one of `keys` and `keys_url`"),
        (', keys_url: "http://login.example/keys"', "without encryption"),
        (', keys_url: "ftp://login.example/keys"', "is not an http or https URL"),
        (', keys_url: "https://a.example", algorithms: [HS256]', "unknown algorithm `HS256`"),
        (', keys_url: "https://a.example", algorithms: [none]', "unknown algorithm `none`"),
        (', keys_url: "https://a.example", clock_skew: 301', "cannot be `301`"),
        (", keys: nothing.json", "key file `nothing.json` cannot be read"),
        (", keys: secret.json", "is no JSON Web Key Set of public keys"),
        (", keys: large.json", "is too large"),
    ],
)
def test_an_issuer_that_could_prove_anybody_is_refused(
    problems_of: Callable[..., list[str]], tmp_path: Path, rest: str, problem: str
) -> None:
    (tmp_path / "secret.json").write_bytes(b'{"keys": [{"kty": "oct", "k": "c2VjcmV0"}]}')
    (tmp_path / "large.json").write_bytes(b" " * 300_000)
    found = problems_of(HEAD + f"  acme: {{{PLAIN}{rest}}}\n")
    assert problem in found[0]
    assert "c2VjcmV0" not in "".join(found)


def test_two_issuers_of_one_name_are_refused(problems_of: Callable[..., list[str]]) -> None:
    url = 'keys_url: "https://a.example"'
    text = HEAD + f"  a: {{{PLAIN}, {url}}}\n  b: {{{PLAIN}, {url}}}\n"
    assert "have one `issuer`" in problems_of(text)[0]
