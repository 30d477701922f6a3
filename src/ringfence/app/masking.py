"""From what a configuration wants masked to what masks it."""

from typing import Final, final

from ringfence.analysis.masking import Finder
from ringfence.domain.masking import MaskingRules
from ringfence.domain.organisation import Configuration
from ringfence.protocols.masking import mask
from ringfence.stores.body import Body
from ringfence.stores.body.recent import Recent
from ringfence.stores.ledger.masking import Mask

_REMEMBERED_BYTES: Final = 8 * 1024 * 1024


def masks(configuration: Configuration) -> dict[str, Mask]:
    """What masks the messages of each organisation that wants it, by id.

    Raises UsageError as `Finder`; a configuration that was read has no such rules.
    """
    return {
        organisation.id: Masker(organisation.masking)
        for organisation in configuration.organisations.values()
        if organisation.masking
    }


@final
class Masker:
    """Masks the bodies of one organisation; used by one thread.

    Agents send their whole history at each step: what was masked a moment ago is remembered.
    """

    def __init__(self, rules: MaskingRules) -> None:
        """Raises UsageError as `Finder`."""
        self._find = Finder(rules).find
        self._known: Recent[bytes, tuple[bytes, dict[str, int]]] = Recent(
            _REMEMBERED_BYTES, lambda known: 2 * len(known[0])
        )

    def __call__(self, body: Body) -> tuple[Body, dict[str, int]]:
        """A body with marks, each of its messages by itself, and how many of each name."""
        parts: list[bytes] = []
        spans: list[tuple[int, int]] = []
        counts: dict[str, int] = {}
        at = length = 0
        for start, end in body.spans:
            for first, last, is_message in ((at, start, False), (start, end, True)):
                part = self._part(body.whole[first:last], counts)
                if is_message:
                    spans.append((length, length + len(part)))
                parts.append(part)
                length += len(part)
            at = end
        parts.append(self._part(body.whole[at:], counts))
        return Body(b"".join(parts), tuple(spans)), counts

    def _part(self, data: bytes, counts: dict[str, int]) -> bytes:
        known = self._known.get(data)
        if known is None:
            masked = mask(data, self._find)
            known = masked.whole, masked.counts
            self._known.put(data, known)
        for name, count in known[1].items():
            counts[name] = counts.get(name, 0) + count
        return known[0]
