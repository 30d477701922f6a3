"""What a codec notes of the fields that its table governs."""

from collections.abc import Callable

from ringfence.domain.exchange import ModelRequest
from ringfence.protocols.field import Field, FieldTable, Meaning

ANYTHING = (True, 1, "x", {"a": 1}, ["x"])
Parse = Callable[[str, object], ModelRequest]
"""Reads a request that has this one field besides what it must have."""


def of(table: FieldTable, *meanings: Meaning) -> list[Field]:
    """The fields of these meanings; of all that govern, where none is named."""
    free = (Meaning.READ, Meaning.FREE)
    return [
        row
        for row in table.rows
        if (row.meaning in meanings if meanings else row.meaning not in free)
    ]


def noted(request: ModelRequest) -> dict[Meaning, list[str]]:
    """What stands against a request, by what it means."""
    found = {
        Meaning.PRICED: [feature.name for feature in request.priced_fields],
        Meaning.HOSTED: [feature.name for feature in request.hosted_tools],
        Meaning.OUTSIDE: [feature.name for feature in request.outside_inputs],
        Meaning.CLIENT_ID: [name.partition(".")[0] for name, _ in request.client_ids],
    }
    return {meaning: names for meaning, names in found.items() if names}


def check_noted(parse: Parse, row: Field, value: object) -> None:
    """A field with a value that governs is noted, alone."""
    request = parse(row.name, value)
    meaning = Meaning.OUTSIDE if row.meaning is Meaning.OBJECT else row.meaning
    assert noted(request) == {meaning: [row.name]}
    assert bool(request.provider_objects) == (row.meaning is Meaning.OBJECT)


def check_passes(parse: Parse, row: Field, *values: object) -> None:
    """A field with values that mean nothing is not."""
    for value in values:
        assert noted(parse(row.name, value)) == {}
