import pytest
from tests.gateways.world import provider

from ringfence.domain.model import ProviderProtocol
from ringfence.gateways.model.endpoint import find
from ringfence.gateways.model.upstream import target


def test_the_path_is_the_providers_own() -> None:
    endpoint = find(b"/v1/chat/completions")
    assert endpoint is not None
    made = target("/base", endpoint, provider("house", ProviderProtocol.OPENAI), "m", b"")
    assert made == b"/base/chat/completions"


@pytest.mark.parametrize(
    ("name", "written"),
    [
        ("gemini-2.5-flash", "gemini-2.5-flash"),
        ("a/b", "a%2Fb"),
        ("../../x", "..%2F..%2Fx"),
        ("a?key=b#c", "a%3Fkey%3Db%23c"),
        ("a b\r\n", "a%20b%0D%0A"),
        ("modèle", "mod%C3%A8le"),
        ("{model}", "%7Bmodel%7D"),
    ],
)
def test_a_model_name_cannot_leave_its_place_in_the_path(name: str, written: str) -> None:
    endpoint = find(b"/v1beta/models/x:generateContent")
    assert endpoint is not None
    made = target("", endpoint, provider("google", ProviderProtocol.GEMINI), name, b"alt=json")
    assert made.decode() == f"/v1beta/models/{written}:generateContent?alt=json"


def test_the_providers_fixed_query_comes_first_and_is_escaped() -> None:
    endpoint = find(b"/v1/messages")
    assert endpoint is not None
    fixed = provider("x", ProviderProtocol.ANTHROPIC, query=(("api-version", "a&b=c"), ("q", "")))
    made = target("", endpoint, fixed, "m", b"beta=true")
    assert made == b"/v1/messages?api-version=a%26b%3Dc&q=&beta=true"
