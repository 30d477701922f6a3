import pytest

from ringfence.domain.error import PeerError
from ringfence.protocols import lenient


def test_what_is_not_as_expected_counts_as_absent() -> None:
    assert lenient.record({"a": 1}) == {"a": 1}
    assert lenient.record([1]) == {}
    assert list(lenient.records([{"a": 1}, 2])) == [{"a": 1}]
    assert list(lenient.records({"a": 1})) == []
    assert (lenient.text("x"), lenient.text(1)) == ("x", "")
    assert lenient.texts("a", "", None, 1, "b") == ("a", "b")


def test_a_document_is_an_object() -> None:
    assert lenient.document(b'{"a":1,"a":2}') == {"a": 2}
    for body in (b"[]", b"{", b"[" * 10_000, b'"\xff"'):
        with pytest.raises(PeerError) as caught:
            lenient.document(body)
        assert caught.value.code == "provider_malformed"


def test_an_error_is_named_by_its_type_or_its_code() -> None:
    assert lenient.error_name({"type": "t", "code": "c"}) == "t"
    assert lenient.error_name({"type": None, "code": "c"}) == "c"
    assert lenient.error_name("boom") == "error"
    assert lenient.error_name(None) == ""
