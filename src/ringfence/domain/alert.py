"""The words of budget alerts: when somebody is told how a budget is doing, and where."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class AlertRules:
    """What the configuration says of alerts.

    `webhook` is a URL; empty records alerts without sending them. `credential` names the secret
    that is sent as a bearer token. `percents` are shares of a limit, rising.
    """

    webhook: str = ""
    credential: str | None = None
    percents: tuple[int, ...] = (50, 80, 100)
