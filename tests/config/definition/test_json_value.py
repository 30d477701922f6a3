import json

import pytest

from ringfence.config.definition.json_value import json_text
from ringfence.config.problem import Problems
from ringfence.config.tree import parse


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("7", 7),
        ("-0.50", -0.5),
        ('"7"', "7"),
        ("true", True),
        ("'true'", "true"),
        ("null", None),
        ("007", "007"),
        ("open", "open"),
        ("[1, a, {b: ~}]", [1, "a", {"b": None}]),
    ],
)
def test_what_stands_without_quotes_may_be_more_than_text(written: str, meant: object) -> None:
    node = parse(f"value: {written}", "x.yaml", Problems())
    assert node is not None
    assert json.loads(json_text(node)) == {"value": meant}
