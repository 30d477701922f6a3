"""A note of the control plane as the event that the ledger keeps."""

from ringfence.api.context import ChangeNote
from ringfence.domain.event import FORMAT, Change
from ringfence.domain.organisation import Configuration


def change_of(note: ChangeNote, configuration: Configuration, now_us: int) -> Change:
    """Add when it was and which configuration of its organisation was in force."""
    organisations = configuration.organisations.values()
    digests = {each.id: each.digest for each in organisations}
    policies = {each.id: each.policy_digest for each in organisations}
    return Change(
        format=FORMAT,
        organisation=note.organisation,
        time_us=str(now_us),
        epoch=configuration.epoch,
        configuration=digests.get(note.organisation, ""),
        policy=policies.get(note.organisation, ""),
        actor=note.actor,
        what=note.what,
        subject=note.subject,
        detail=dict(note.detail),
        invocation=note.invocation,
        root=note.root,
    )
