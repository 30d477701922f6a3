"""What the plane itself notices while it works, put on the record.

A finding is an event of kind `change` whose `what` begins with `finding.`: readers of format 1 know
the kind, and what they do with a change they have never heard of is right for a finding too.
"""

from collections.abc import Mapping
from typing import Final

from ringfence.domain.event import FINDING, FORMAT, PLANE, Change
from ringfence.enforcement.directory import Directory
from ringfence.enforcement.live import LiveInvocation
from ringfence.enforcement.record import Ledger
from ringfence.transport.clock import Clock

SECRET_SHOWN: Final = "secret_shown"  # noqa: S105 (a word, not a secret)
"""An answer held a secret of the plane; whoever answered must be asked why. Also how such an action
has ended, where the whole answer was withheld (`credential_shown` in events of before)."""


class FindingLog:
    """Writes findings, and the changes that the plane makes of its own accord."""

    def __init__(self, *, ledger: Ledger, directory: Directory, clock: Clock) -> None:
        """Join the parts."""
        self.clock = clock
        self._ledger = ledger
        self._directory = directory

    def found(self, live: LiveInvocation, name: str, detail: Mapping[str, str]) -> None:
        """Something was noticed in an invocation; it must be recorded already."""
        what = f"{FINDING}{name}"
        agent = live.runtime.agent
        detail = {**detail, "agent": agent.id, "agent_name": agent.name}
        self._write(live.identity.organisation, what, live.id, detail, live.id, live.root)

    def changed(
        self, organisation: str, what: str, subject: str, detail: Mapping[str, str]
    ) -> None:
        """The plane has changed something of an organisation."""
        self._write(organisation, what, subject, detail)

    def changed_at(
        self, organisation: str, what: str, subject: str, detail: Mapping[str, str]
    ) -> None:
        """The same, of an organisation by its name; nothing if there is none."""
        configuration = self._directory.configuration
        known = None if configuration is None else configuration.organisations.get(organisation)
        if known is not None:
            self._write(known.id, what, subject, detail)

    def _write(  # noqa: PLR0913, PLR0917 (an event has these parts)
        self,
        organisation: str,
        what: str,
        subject: str,
        detail: Mapping[str, str],
        invocation: str = "",
        root: str = "",
    ) -> None:
        configuration = self._directory.configuration
        known = configuration.organisations.values() if configuration is not None else ()
        policy = next((each.policy_digest for each in known if each.id == organisation), "")
        self._ledger.record(
            Change(
                format=FORMAT,
                organisation=organisation,
                time_us=str(self.clock.now_us()),
                epoch=configuration.epoch if configuration is not None else 0,
                configuration=configuration.digest if configuration is not None else "",
                policy=policy,
                actor=PLANE,
                what=what,
                subject=subject,
                detail=dict(detail),
                invocation=invocation,
                root=root,
            )
        )
