"""docs/attacks.md and the attacks agree: every line is shown by something, and every attempt shown."""

import ast
import re
from pathlib import Path

from tests.attacks.test_egress import EXPECTED
from tests.attacks.test_list import LIST

HERE = Path(__file__).parent
DOCUMENT = HERE.parent.parent / "docs" / "attacks.md"
_REFERENCE = re.compile(r"`([\w./]+): (.+?)`")
_COLUMNS = 5


def rows() -> list[list[str]]:
    """The lines of every table, without their heads."""
    lines = DOCUMENT.read_text(encoding="utf-8").splitlines()
    tables = [line for line in lines if line.startswith("| ") and "shown by" not in line]
    return [[cell.strip() for cell in line.strip("|").split(" |")] for line in tables]


def _tests_of(path: Path) -> set[str]:
    """The tests of a file, by what they say."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    names = [node.name for node in tree.body if isinstance(node, ast.FunctionDef)]
    return {name.removeprefix("test_") for name in names if name.startswith("test_")}


def known(place: str) -> set[str]:
    """What there is to refer to in `test_<place>.py`; attempts by their names."""
    folder, _, noun = place.rpartition("/")
    found = _tests_of(HERE / folder / f"test_{noun}.py")
    return found | {"list": set(LIST), "egress": set(EXPECTED)}.get(place, set())


def referred() -> set[tuple[str, str]]:
    return {pair for row in rows() for pair in _REFERENCE.findall(row[-1])}


def test_every_line_says_all_of_it_and_is_shown_by_something() -> None:
    found = rows()
    assert len(found) > 40
    for row in found:
        assert len(row) == _COLUMNS, row
        assert all(row), row
        assert _REFERENCE.findall(row[-1]), row


def test_what_lines_refer_to_is_there() -> None:
    missing = {(place, name) for place, name in referred() if name not in known(place)}
    assert missing == set()


def test_every_attack_stands_in_a_line() -> None:
    places = {path.stem.removeprefix("test_") for path in HERE.glob("test_*.py")} - {"threats"}
    all_of_it = {(place, name) for place in places for name in known(place)}
    whole = {("egress", name) for name in _tests_of(HERE / "test_egress.py")}  # the program as one
    assert all_of_it - whole - referred() == set()
