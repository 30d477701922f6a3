"""How many tokens a tree of runs has used, read back from its events."""

from ringfence.domain.event import Intent, Outcome
from ringfence.stores.ledger.format import decode
from ringfence.stores.ledger.reader import LedgerReader


def tokens_used(reader: LedgerReader, organisation: str, root: str) -> int:
    """Input and output together; where no usage is known, what was allowed for one answer.

    A call that was charged nothing of a price was not made.
    """
    allowed: dict[str, int] = {}
    used = 0
    for stored in reader.events_of(organisation, root):
        event = decode(stored.leaf)
        if isinstance(event, Intent):
            allowed[event.action] = event.input_bound + (event.output_limit or 0)
        elif isinstance(event, Outcome):
            most = allowed.pop(event.action, 0)
            if event.usage is not None:
                used += event.usage.input_tokens + event.usage.output_tokens
            elif event.cost_nano != "0" or event.reserved_nano == "0":
                used += most
    return used + sum(allowed.values())
