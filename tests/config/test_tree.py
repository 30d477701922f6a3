from hypothesis import given
from hypothesis import strategies as st

from ringfence.config.problem import ConfigurationError, Place, Problems
from ringfence.config.tree import Items, Table, Text, parse


def test_what_is_no_plain_yaml_is_named_with_its_place(refusal: tuple[str, list[str]]) -> None:
    text, expected = refusal
    problems = Problems()
    parse(text, "f.yaml", problems)
    shown = [
        (f"{p.place.line}:{p.place.column}: " if p.place.line else "")
        + p.what
        + (f" | {p.help}" if p.help else "")
        for p in problems.found()
    ]
    assert shown == expected


def test_every_node_knows_its_place() -> None:
    problems = Problems()
    root = parse("a: [x, 'y']\nb:\n  c: null\n", "f.yaml", problems)
    assert isinstance(root, Table)
    first, second = root.entries["a"].value, root.entries["b"].value
    assert first == Items(
        (
            Text("x", is_plain=True, place=Place("f.yaml", 1, 5)),
            Text("y", is_plain=False, place=Place("f.yaml", 1, 8)),
        ),
        Place("f.yaml", 1, 4),
    )
    assert isinstance(second, Table)
    assert second.entries["c"].place == Place("f.yaml", 3, 3)
    assert second.entries["c"].value == Text("null", is_plain=True, place=Place("f.yaml", 3, 6))
    assert problems.found() == ()


def test_nothing_is_only_what_is_not_quoted() -> None:
    place = Place("f.yaml")
    assert Text("~", is_plain=True, place=place).is_nothing
    assert Text("", is_plain=True, place=place).is_nothing
    assert not Text("", is_plain=False, place=place).is_nothing
    assert not Text("null", is_plain=False, place=place).is_nothing


def test_an_alias_bomb_is_refused_at_its_first_alias() -> None:
    lines = ["a0: &a0 [x, x]"] + [f"a{i}: &a{i} [*a{i - 1}, *a{i - 1}]" for i in range(1, 60)]
    problems = Problems()
    assert parse("\n".join(lines), "f.yaml", problems) is None
    assert problems.found()[-1].what == "an alias"


@given(
    st.text(st.characters(codec="utf-8"), max_size=60)
    | st.text("[]{}:,&*!|>'\"%@`-? \n\ta~", max_size=60)
)
def test_any_text_gives_a_tree_or_problems_and_nothing_else(text: str) -> None:
    problems = Problems()
    try:
        root = parse(text, "f.yaml", problems)
    except ConfigurationError:
        return
    assert (root is not None) or problems.found()
