"""Both spellings of a field are one field."""

import pytest

from ringfence.domain.error import PeerError
from ringfence.protocols.gemini.spelling import by_camel_case


@pytest.mark.parametrize(
    ("name", "camel"),
    [
        ("max_output_tokens", "maxOutputTokens"),
        ("maxOutputTokens", "maxOutputTokens"),
        ("contents", "contents"),
        ("top_k", "topK"),
        ("a_1_b", "a1B"),
        ("_private", "_private"),
        ("trailing_", "trailing_"),
        ("Max_Output", "Max_Output"),
        ("double__underscore", "double__underscore"),
        ("", ""),
    ],
)
def test_names_in_snake_case_are_read_as_camel_case(name: str, camel: str) -> None:
    assert by_camel_case({name: 1}) == {camel: 1}


def test_a_field_in_two_spellings_is_refused() -> None:
    with pytest.raises(PeerError, match="two spellings"):
        by_camel_case({"topK": 1, "top_k": 1})
