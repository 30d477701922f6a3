"""The webhook of each organisation, as its configuration names it now."""

from collections.abc import Callable
from typing import Generic, TypeVar, final

from ringfence.transport.webhook import Webhook

Rules = TypeVar("Rules")


@final
class Webhooks(Generic[Rules]):
    """One started webhook for each organisation that has one; opened anew when its rules change."""

    def __init__(self, open_webhook: Callable[[Rules], Webhook | None]) -> None:
        """`open_webhook` gives a started one; None for rules that name none."""
        self._open = open_webhook
        self._known: dict[str, tuple[Rules, Webhook | None]] = {}

    async def of(self, organisation: str, rules: Rules) -> Webhook | None:
        """The webhook that these rules of an organisation name."""
        known = self._known.get(organisation)
        if known is not None and known[0] == rules:
            return known[1]
        if known is not None and known[1] is not None:
            await known[1].stop()
        opened = self._open(rules)
        self._known[organisation] = (rules, opened)
        return opened

    async def stop(self) -> None:
        """Send nothing any more."""
        for _, webhook in self._known.values():
            if webhook is not None:
                await webhook.stop()
        self._known.clear()
