from ringfence.config.problem import Place, Problems
from ringfence.config.reading import Reading, kind
from ringfence.config.tree import Items, Table, Text

PLACE = Place("f.yaml", 3, 4)


def reading(**environment: str) -> Reading:
    return Reading(environment, Problems(), Problems(), set())


def test_a_secret_is_named_and_its_value_left_alone() -> None:
    found = reading(TOKEN="hidden")
    found.secret("TOKEN", PLACE)
    assert found.secret_names == {"TOKEN"}
    assert found.problems.found() == ()


def test_a_secret_without_a_value_is_a_problem() -> None:
    found = reading(TOKEN="")
    found.secret("TOKEN", PLACE)
    (problem,) = found.problems.found()
    assert problem.render() == (
        "f.yaml:3:4: environment variable `TOKEN` is not set\n"
        "  set it before starting: export TOKEN=…"
    )


def test_a_text_is_given_only_if_it_could_be_expanded() -> None:
    found = reading(A="x")
    assert found.text(Text("${A}y", is_plain=False, place=PLACE)) == "xy"
    assert found.text(Text("${B}y", is_plain=False, place=PLACE)) is None
    assert found.text(Text("${", is_plain=False, place=PLACE)) is None
    assert len(found.problems.found()) == 2


def test_nodes_are_named_in_words() -> None:
    assert kind(Text("x", is_plain=True, place=PLACE)) == "text"
    assert kind(Text("", is_plain=True, place=PLACE)) == "nothing"
    assert kind(Items((), PLACE)) == "a list"
    assert kind(Table({}, PLACE)) == "a mapping"
