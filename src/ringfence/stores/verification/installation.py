"""The keys and the directory of an installation, judged before any of its logs."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ringfence.analysis.verification import Fault, Finding
from ringfence.domain.error import UsageError
from ringfence.protocols import key_chain
from ringfence.protocols.checkpoint import Checkpoint
from ringfence.protocols.note import VerifierKey
from ringfence.stores.checkpoint import directory
from ringfence.stores.verification.outside import Kept, Outside
from ringfence.stores.verification.report import Report
from ringfence.stores.verification.trust import Judge


@dataclass(slots=True, kw_only=True)
class Installation:
    """Who may sign here, and which logs there must be."""

    judge: Judge
    logs: list[str] = field(default_factory=list)


def read_installation(
    keys: bytes | None, listing: bytes | None, outside: Outside, report: Report
) -> Installation:
    """Judge the key statements and the directory; None for what is not there."""
    known, trusted_from = _read_keys(keys, outside, report)
    installation = Installation(judge=Judge(known, trusted_from))
    if known:
        report.key = str(known[-1])
    installation.logs = _read_directory(listing, installation, report)
    _compare_directories(installation, outside, report)
    return installation


def find_strangers(
    installation: Installation, outside: Outside, logs: Sequence[str], report: Report
) -> None:
    """A checkpoint from outside of which nothing is here: another installation, or a lost log."""
    known = {installation.judge.origin(each): each for each in (*logs, directory.NAME)}
    for origin in sorted({one.checkpoint.origin for one in outside.kept} - known.keys()):
        name, _, log = origin.rpartition("/")
        if installation.judge.origin(log) == origin:
            text = "a checkpoint from outside is of this log, and nothing of it is here"
            report.add(Finding(fault=Fault.LOG_DELETED, log=log, text=text))
        else:
            text = f"a checkpoint from outside is of `{name}`, which is not this installation"
            report.add(Finding(fault=Fault.REWRITTEN, log=log, text=text))


def believed(installation: Installation, kept: Sequence[Kept], report: Report) -> list[Checkpoint]:
    """The kept checkpoints whose signature is one of this installation's."""
    good: list[Checkpoint] = []
    for one in kept:
        stated = one.checkpoint
        if installation.judge.signer(one.note, stated.origin) >= 0:
            good.append(stated)
        else:
            text = f"the checkpoint of `{stated.origin}` from outside was signed with another key"
            report.add(Finding(fault=Fault.REWRITTEN, text=text))
    return good


def _read_keys(
    data: bytes | None, outside: Outside, report: Report
) -> tuple[list[VerifierKey], int]:
    """All keys, and the number of the first that is trusted."""
    if not data:
        report.add(Finding(fault=Fault.KEYS_ALTERED, text="there are no public keys"))
        return [], 0
    try:
        statements = key_chain.read(data)
        known = key_chain.accepted(statements, None)
    except UsageError as error:
        report.add(Finding(fault=Fault.KEYS_ALTERED, text=error.message))
        return [], 0
    try:
        return known, len(known) - len(key_chain.accepted(statements, outside.key))
    except UsageError as error:
        report.add(Finding(fault=Fault.KEYS_ALTERED, text=error.message))
        return known, 0


def _read_directory(data: bytes | None, installation: Installation, report: Report) -> list[str]:
    if data is None:
        report.add(Finding(fault=Fault.DIRECTORY_ALTERED, text="the directory of logs is missing"))
        return []
    try:
        one, ids = directory.read(data)
    except UsageError as error:
        report.add(Finding(fault=Fault.DIRECTORY_ALTERED, text=error.message))
        return []
    origin = installation.judge.origin(directory.NAME)
    # A rotation signs it again: with a key that was replaced, a log could be taken out unseen.
    if not one.text.startswith(f"{origin}\n") or not installation.judge.trusts(one, origin):
        text = "the directory of logs has no signature of an accepted key"
        report.add(Finding(fault=Fault.DIRECTORY_ALTERED, text=text))
    return ids


def _compare_directories(installation: Installation, outside: Outside, report: Report) -> None:
    """A directory from outside must be the beginning of the one here."""
    kept = outside.stated(installation.judge.origin(directory.NAME))
    for stated in believed(installation, kept, report):
        ids = [line.removeprefix("log ") for line in stated.extensions]
        for log in ids:
            if log not in installation.logs:
                text = "a directory from outside lists it"
                report.add(Finding(fault=Fault.LOG_DELETED, log=log, text=text))
        if installation.logs[: len(ids)] != ids and set(ids) <= set(installation.logs):
            text = "it does not continue the directory from outside"
            report.add(Finding(fault=Fault.DIRECTORY_ALTERED, text=text))
