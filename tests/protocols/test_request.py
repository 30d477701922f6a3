import pytest

from ringfence.domain.error import PeerError
from ringfence.domain.exchange import ModelRequest
from ringfence.domain.model import Dialect
from ringfence.protocols import request as requests
from ringfence.protocols import strict_json
from ringfence.protocols.field import Findings

BODY = b'{"model":"m","n":2,"on":true,"off":null}'
SPANS = strict_json.spans(BODY)


def test_places_are_remembered() -> None:
    request = requests.located(Dialect.CHAT, BODY, SPANS, Findings(), ((), ()))
    assert requests.spans_of(request) is SPANS


def test_places_of_any_other_request_are_found_again() -> None:
    request = ModelRequest(dialect=Dialect.CHAT, body=BODY, model="m")
    assert requests.spans_of(request) == SPANS


def test_members_are_read_by_their_type() -> None:
    assert requests.model_of(BODY, SPANS) == "m"
    assert requests.count_of(BODY, SPANS, "n") == 2
    assert requests.count_of(BODY, SPANS, "off") is None
    assert requests.count_of(BODY, SPANS, "absent") is None
    assert requests.flag_of(BODY, SPANS, "on")
    assert not requests.flag_of(BODY, SPANS, "off")
    assert not requests.flag_of(BODY, SPANS, "absent")
    with pytest.raises(PeerError, match="`n` is not"):
        requests.flag_of(BODY, SPANS, "n")
    with pytest.raises(PeerError, match="`model` is missing"):
        requests.model_of(b"{}", {})


def test_only_another_model_is_an_edit() -> None:
    request = requests.located(Dialect.CHAT, BODY, SPANS, Findings(), ((), ()))
    assert requests.model_edits(request, SPANS, "m") == []
    assert requests.model_edits(request, SPANS, "x") == [(9, 12, b'"x"')]


def test_places_are_cut_out() -> None:
    assert requests.cut(BODY, [(0, 1), (9, 12)]) == ((b"{", b'"m"'), ((0, 1), (9, 12)))
