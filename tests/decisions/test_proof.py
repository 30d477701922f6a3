"""Claims vouch for a user only now, here, and if their issuer may."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.signing import AUDIENCE, ISSUER, SECOND_US, claims

from ringfence.decisions.proof import Vouched, judge
from ringfence.domain.issuer import Issuer

NOW_US = 1_700_000_000 * SECOND_US
NOW_S = NOW_US // SECOND_US
HERE = Issuer(name="acme", issuer=ISSUER, audience=AUDIENCE, clock_skew_s=30)


def test_a_good_token_proves_its_user_until_its_end() -> None:
    assert judge(claims(NOW_US), HERE, NOW_US) == Vouched(
        user="ann@acme.example", ends_us=NOW_US + 330 * SECOND_US
    )


@pytest.mark.parametrize(
    "changes",
    [
        {"iss": "https://evil.example"},
        {"iss": None},
        {"iss": ISSUER + "/"},
        {"aud": "another"},
        {"aud": None},
        {"aud": []},
        {"aud": ["another"]},
        {"aud": AUDIENCE + "x"},
        {"exp": None},
        {"exp": "soon"},
        {"exp": True},
        {"exp": -1},
        {"exp": 2**60},
        {"exp": NOW_S - 30},
        {"nbf": NOW_S + 31},
        {"nbf": "now"},
        {"iat": NOW_S + 31},
        {"iat": [NOW_S]},
        {"sub": None},
        {"sub": ""},
        {"sub": 7},
        {"sub": "ann acme"},
        {"sub": "ann\nbob"},
        {"sub": "x" * 300},
    ],
)
def test_anything_else_proves_nobody(changes: dict[str, object]) -> None:
    found = judge(claims(NOW_US, **changes), HERE, NOW_US)
    assert isinstance(found, str)
    assert found


@pytest.mark.parametrize(
    "changes",
    [
        {"aud": ["another", AUDIENCE]},
        {"exp": NOW_S - 29},
        {"exp": NOW_S + 0.5},
        {"nbf": NOW_S + 30},
        {"iat": NOW_S + 30},
    ],
)
def test_a_little_skew_and_several_audiences_are_fine(changes: dict[str, object]) -> None:
    assert isinstance(judge(claims(NOW_US, **changes), HERE, NOW_US), Vouched)


def test_an_issuer_vouches_only_for_its_own_users() -> None:
    partner = replace(HERE, users=("*@partner.example",))
    assert isinstance(judge(claims(NOW_US), partner, NOW_US), str)
    theirs = claims(NOW_US, sub="eve@partner.example")
    assert isinstance(judge(theirs, partner, NOW_US), Vouched)


def test_another_claim_can_name_the_user_and_a_mail_address_must_be_verified() -> None:
    mail = replace(HERE, user_claim="email")
    said = claims(NOW_US, sub="12345", email="ann@acme.example")
    found = judge(said, mail, NOW_US)
    assert isinstance(found, Vouched)
    assert found.user == "ann@acme.example"
    for verified in (False, "true", None):
        assert isinstance(judge(said | {"email_verified": verified}, mail, NOW_US), str)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=3,
)


@given(st.dictionaries(st.sampled_from(["iss", "aud", "exp", "nbf", "iat", "sub"]), JSON))
def test_no_claims_break_the_judge(said: dict[str, object]) -> None:
    assert isinstance(judge(said, HERE, NOW_US), str)
