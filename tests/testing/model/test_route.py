import pytest

from ringfence.domain.model import Dialect
from ringfence.testing.model.route import Route, find


@pytest.mark.parametrize(
    ("path", "dialect"),
    [
        ("/v1/chat/completions", Dialect.CHAT),
        ("/openai/deployments/x/chat/completions", Dialect.CHAT),
        ("/v1/responses", Dialect.RESPONSES),
        ("/v1/embeddings", Dialect.EMBEDDINGS),
        ("/v1/messages", Dialect.MESSAGES),
        ("/v1/messages/count_tokens", Dialect.COUNT_TOKENS),
    ],
)
def test_an_endpoint_is_found_under_any_prefix(path: str, dialect: Dialect) -> None:
    assert find(path) == Route(dialect=dialect)


@pytest.mark.parametrize(("method", "stream"), [("generate", False), ("streamGenerate", True)])
def test_gemini_names_model_and_stream_in_the_path(method: str, stream: bool) -> None:  # noqa: FBT001 (a parametrised case)
    path = f"/v1beta/models/a%2Db:{method}Content"
    assert find(path) == Route(dialect=Dialect.GEMINI, model="a-b", stream=stream)


@pytest.mark.parametrize("path", ["/", "/v1/models", "/v1/messages/x", "/v1/models/x:countTokens"])
def test_other_paths_have_no_endpoint(path: str) -> None:
    assert find(path) is None
