"""A closed table treats what it does not list as changing the price."""

import json

from ringfence.domain.exchange import Feature
from ringfence.protocols import strict_json
from ringfence.protocols.closed_field import ClosedFieldTable
from ringfence.protocols.field import Field, Findings, Meaning

TABLE = ClosedFieldTable(
    [
        Field("known", Meaning.FREE, "no effect"),
        Field("inner.held", Meaning.OBJECT, "kept by the provider"),
    ]
)


def collect(**fields: object) -> Findings:
    body = json.dumps(fields).encode()
    findings = Findings()
    TABLE.collect(body, strict_json.spans(body), findings)
    return findings


def test_listed_fields_are_judged_by_their_row() -> None:
    findings = collect(known=1, inner={"held": "id_1", "other": 2})
    assert (findings.priced, findings.objects) == ([], ["id_1"])


def test_unlisted_fields_may_change_the_price() -> None:
    assert collect(new="x", known=1).priced == [Feature("new", "x")]


def test_an_unlisted_null_is_absent() -> None:
    assert collect(new=None).priced == []
