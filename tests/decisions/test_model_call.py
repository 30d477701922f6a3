"""Model calls: whatever could escape the price bound is refused unless configured."""

from dataclasses import replace

import pytest
from msgspec import structs

from ringfence.decisions.model_call import (
    MAX_ANSWERS,
    check,
    most_hosted_uses,
    outside_tokens,
    with_hosted,
)
from ringfence.domain.agent import Agent, Category
from ringfence.domain.exchange import Feature, ModelRequest
from ringfence.domain.model import Dialect, Model
from ringfence.domain.verdict import Code

AGENT = Agent(name="a", owner="o@x", team=None, category=Category.BOUNDED, purpose="")
MODEL = Model(name="m", provider="p", upstream="u")
OPEN = replace(
    MODEL,
    image_tokens=1_000,
    media_tokens=1_000,
    hosted_tools=frozenset({"web_search", "code_execution_20260521"}),
    hosted_uses=3,
    hosted_tokens=1_000,
    allow_priced_fields=frozenset({"service_tier"}),
)
OWNED = {"resp_1": 500, "file_1": 70}


def request(  # noqa: PLR0913 (each part of a request has its own case)
    *,
    answers: int = 1,
    hosted: str = "",
    priced: str = "",
    outside: tuple[Feature, ...] = (),
    objects: tuple[str, ...] = (),
    images: int = 0,
    media: int = 0,
) -> ModelRequest:
    return ModelRequest(
        dialect=Dialect.RESPONSES,
        body=b"{}",
        model="m",
        answers=answers,
        hosted_tools=(Feature(hosted),) if hosted else (),
        priced_fields=(Feature(priced),) if priced else (),
        outside_inputs=outside,
        provider_objects=objects,
        images=images,
        media=media,
    )


def code(model: Model, asked: ModelRequest, owned: dict[str, int] | None = None) -> Code | None:
    found = check(AGENT, model, asked, owned or {})
    return None if found is None else found.code


def test_a_plain_call_passes() -> None:
    assert code(MODEL, request()) is None


@pytest.mark.parametrize(
    ("asked", "refusal"),
    [
        (request(hosted="web_search"), Code.HOSTED_TOOL),
        (request(priced="service_tier"), Code.FIELD_REFUSED),
        (request(images=1), Code.INPUT_UNBOUNDED),
        (request(media=1), Code.INPUT_UNBOUNDED),
    ],
)
def test_what_changes_the_price_passes_only_if_configured(
    asked: ModelRequest, refusal: Code
) -> None:
    assert code(MODEL, asked) is refusal
    assert code(OPEN, asked) is None


@pytest.mark.parametrize(
    ("tool", "passes"),
    [
        ("web_search", True),
        ("web_search_20260318", True),
        ("web_search_preview", False),
        ("web_search_2026", False),
        ("web_fetch_20260318", False),
        ("mcp", False),
        ("code_execution_20260521", True),
        ("code_execution_20250522", False),
        ("code_execution", False),
    ],
)
def test_a_family_of_hosted_tools_includes_its_dated_versions(tool: str, *, passes: bool) -> None:
    assert (code(OPEN, request(hosted=tool)) is None) is passes


@pytest.mark.parametrize("bound", [(None, 1_000), (3, None)])
def test_a_hosted_tool_without_a_bound_is_refused(bound: tuple[int | None, int | None]) -> None:
    model = replace(OPEN, hosted_uses=bound[0], hosted_tokens=bound[1])
    assert code(model, request(hosted="web_search")) is Code.INPUT_UNBOUNDED
    assert code(model, request()) is None


def test_each_use_of_a_hosted_tool_adds_its_input_and_reads_the_request_again() -> None:
    asked = request(hosted="web_search")
    assert with_hosted(OPEN, asked, 200) == 4 * 200 + 3 * 1_000
    assert with_hosted(MODEL, asked, 200) == 200
    fewer = structs.replace(asked, hosted_uses=1)
    assert with_hosted(OPEN, fewer, 200) == 2 * 200 + 1_000


def test_a_route_allows_for_the_most_uses_of_any_model() -> None:
    asked = request(hosted="web_search")
    assert most_hosted_uses([MODEL, OPEN], asked) == 3
    assert most_hosted_uses([], asked) == 0
    assert most_hosted_uses([MODEL, OPEN], structs.replace(asked, hosted_uses=2)) == 2


@pytest.mark.parametrize(("uses", "passes"), [(1, True), (3, True), (4, False), (None, True)])
def test_a_client_may_ask_for_as_many_uses_as_are_reserved(
    uses: int | None, *, passes: bool
) -> None:
    asked = structs.replace(request(hosted="web_search"), hosted_uses=uses)
    assert code(OPEN, asked) is (None if passes else Code.FIELD_REFUSED)


def test_one_hosted_tool_among_allowed_ones_is_refused() -> None:
    asked = ModelRequest(
        dialect=Dialect.MESSAGES,
        body=b"{}",
        model="m",
        hosted_tools=(Feature("web_search"), Feature("mcp")),
    )
    assert code(OPEN, asked) is Code.HOSTED_TOOL


def test_other_priced_fields_than_the_configured_are_refused() -> None:
    assert code(OPEN, request(priced="speed")) is Code.FIELD_REFUSED


def test_more_answers_than_any_provider_gives_are_refused() -> None:
    assert code(MODEL, request(answers=MAX_ANSWERS)) is None
    assert code(MODEL, request(answers=MAX_ANSWERS + 1)) is Code.FIELD_REFUSED


def test_an_object_at_the_provider_passes_only_for_who_made_it() -> None:
    asked = request(outside=(Feature("previous_response_id", "resp_1"),), objects=("resp_1",))
    assert code(MODEL, asked, OWNED) is None
    assert code(MODEL, asked) is Code.PROVIDER_OBJECT


def test_one_foreign_object_among_owned_ones_is_refused() -> None:
    asked = request(
        outside=(Feature("file_id", "file_1"), Feature("file_id", "file_9")),
        objects=("file_1", "file_9"),
    )
    assert code(MODEL, asked, OWNED) is Code.PROVIDER_OBJECT


def test_input_from_outside_that_names_no_object_is_refused() -> None:
    assert code(OPEN, request(outside=(Feature("background"),)), OWNED) is Code.INPUT_UNBOUNDED


def test_an_outside_input_is_not_excused_by_an_object_elsewhere() -> None:
    asked = request(
        outside=(Feature("prompt", "pmpt_1"), Feature("file_id", "file_1")), objects=("file_1",)
    )
    assert code(MODEL, asked, OWNED) is Code.INPUT_UNBOUNDED


def test_owned_objects_bring_their_tokens_each_time_they_are_named() -> None:
    asked = request(objects=("resp_1", "file_1", "file_1"))
    assert outside_tokens(asked, OWNED) == 640
    assert outside_tokens(request(), OWNED) == 0
