import pytest

from ringfence.domain.model import Dialect
from ringfence.gateways.model.endpoint import dialect_of, find, is_listing, listed_model


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        (b"/v1/chat/completions", Dialect.CHAT),
        (b"/v1/responses", Dialect.RESPONSES),
        (b"/v1/embeddings", Dialect.EMBEDDINGS),
        (b"/v1/messages", Dialect.MESSAGES),
        (b"/v1/messages/count_tokens", Dialect.COUNT_TOKENS),
    ],
)
def test_a_fixed_path_speaks_one_dialect(path: bytes, dialect: Dialect) -> None:
    endpoint = find(path)
    assert endpoint is not None
    assert endpoint.dialect is dialect
    assert find(path + b"/") is None
    assert find(b"/" + path) is None


@pytest.mark.parametrize("version", ["v1", "v1beta"])
@pytest.mark.parametrize("verb", ["generateContent", "streamGenerateContent"])
@pytest.mark.parametrize("model", ["gemini-2.5-flash", "team/model", "llama3:8b", "a.b_c@1"])
def test_a_gemini_path_names_model_and_verb(version: str, verb: str, model: str) -> None:
    endpoint = find(f"/{version}/models/{model}:{verb}".encode())
    assert endpoint is not None
    assert (endpoint.path_model, endpoint.path_stream) == (model, verb.startswith("stream"))
    assert endpoint.upstream_path == f"/{version}/models/{{model}}:{verb}"


@pytest.mark.parametrize(
    "path",
    [
        b"/v1beta/models/:generateContent",
        b"/v1beta/models/a%2Fb:generateContent",
        b"/v1beta/models/a b:generateContent",
        b"/v1beta/models/a:generateContent/",
        b"/v1beta/models/a:generatecontent",
        b"/v1beta/models/a:countTokens",
        b"/v2/models/a:generateContent",
        b"/v1beta/tunedModels/a:generateContent",
        b"/v1beta/models/" + b"a" * 201 + b":generateContent",
        b"/v1beta/models/a\n:generateContent",
        b"/v1beta/models/a:generateContent\n",
    ],
)
def test_nothing_else_is_an_endpoint(path: bytes) -> None:
    assert find(path) is None


def test_the_listing_and_its_entries_are_told_apart() -> None:
    assert is_listing(b"/v1/models")
    assert listed_model(b"/v1/models") is None
    assert listed_model(b"/v1/models/small") == "small"
    assert listed_model(b"/v1beta/models/team/model") == "team/model"
    assert not is_listing(b"/v1/models/")
    assert not is_listing(b"/v1/modelsx")


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        (b"/v1/responses", Dialect.RESPONSES),
        (b"/v1/messages/count_tokens", Dialect.MESSAGES),
        (b"/v1/messages/batches", Dialect.MESSAGES),
        (b"/v1beta/anything", Dialect.GEMINI),
        (b"/v1/models/a:generateContent", Dialect.GEMINI),
        (b"/nothing", Dialect.CHAT),
    ],
)
def test_an_error_is_worded_as_the_nearest_client_reads_it(path: bytes, dialect: Dialect) -> None:
    assert dialect_of(path) is dialect
