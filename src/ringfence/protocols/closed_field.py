"""Field tables of the dialects: a field that is not listed may mean anything to some server."""

from collections.abc import Iterable, Mapping

from ringfence.protocols import strict_json
from ringfence.protocols.field import Field, FieldTable, Findings, Meaning
from ringfence.protocols.strict_json import Span


class ClosedFieldTable(FieldTable):
    """A table beside which every field may change the price, until somebody allows it by name."""

    def __init__(self, rows: Iterable[Field]) -> None:
        """Take the rows in the order of the API's reference."""
        super().__init__(rows)
        self._known = frozenset(row.name.partition(".")[0] for row in self.rows)

    def collect(self, body: bytes, found: Mapping[str, Span], findings: Findings) -> None:
        """Note every governed and every unknown field that is present and not harmless."""
        super().collect(body, found, findings)
        for name in found.keys() - self._known:
            start, end = found[name]
            value = strict_json.parse(body[start:end])
            if value is not None:
                findings.add(Meaning.PRICED, name, value)
