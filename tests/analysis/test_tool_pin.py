import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.analysis.tool_pin import canonical, content_of, pin_of
from ringfence.domain.tool import ToolDefinition, ToolKey

_TOOL: dict[str, object] = {"name": "add", "description": "Add.", "inputSchema": {"type": "object"}}


def _defined(members: dict[str, object], *, spaced: bool = False) -> ToolDefinition:
    raw = json.dumps(members, indent=2 if spaced else None).encode()
    return ToolDefinition(key=ToolKey(server="calc", name=str(members["name"])), raw=raw)


def test_order_and_spacing_do_not_change_a_pin() -> None:
    turned = dict(reversed(_TOOL.items()))
    assert pin_of(_defined(_TOOL)) == pin_of(_defined(turned, spaced=True))


@pytest.mark.parametrize(
    "change",
    [
        {"description": "Add. "},
        {"annotations": {"readOnlyHint": True}},
        {"inputSchema": {"type": "object", "properties": {}}},
        {"x-vendor": 1},
        {"name": "sum"},
    ],
)
def test_every_field_counts(change: dict[str, object]) -> None:
    assert pin_of(_defined(_TOOL)) != pin_of(_defined({**_TOOL, **change}))


def test_content_does_not_hang_on_a_name_or_a_title() -> None:
    named = {**_TOOL, "name": "sum", "title": "Sum", "annotations": {"title": "Sum"}}
    plain = {**_TOOL, "annotations": {}}
    assert content_of(_defined(named)) == content_of(_defined(plain))
    assert content_of(_defined(named)) != content_of(_defined({**named, "description": "Take."}))


def test_what_is_no_object_defines_no_tool() -> None:
    tool = ToolDefinition(key=ToolKey(server="calc", name="x"), raw=b"[]")
    with pytest.raises(TypeError, match="by an object"):
        pin_of(tool)


def test_what_json_cannot_hold_has_no_canonical_form() -> None:
    for value in (float("nan"), "\ud800"):
        with pytest.raises(ValueError):  # noqa: PT011 (each has a text of its own)
            canonical(value)


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(codec="utf-8")),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(codec="utf-8")), inner),
    max_leaves=12,
)


@given(_JSON)
def test_a_canonical_form_reads_back_as_what_it_was(value: object) -> None:
    assert json.loads(canonical(value)) == value
    assert canonical(json.loads(canonical(value))) == canonical(value)
