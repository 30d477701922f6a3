"""Which public keys an installation has had: each vouched for by the one before it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from ringfence.domain.error import UsageError
from ringfence.protocols import note
from ringfence.protocols.note import Note, VerifierKey
from ringfence.protocols.signature import SigningKey, holds

_STATEMENT: Final = re.compile(r"([^\n]+)/key\n([^\n]+)\ntime (0|[1-9][0-9]{0,18})\n")


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """From `time_us` (UTC microseconds) on, an installation signs with this key."""

    key: VerifierKey
    time_us: int
    note: Note


def state(new: SigningKey, time_us: int, old: SigningKey | None = None) -> bytes:
    """Introduce a key: signed by itself, and by the key that it follows."""
    name = f"{new.name}/key"
    text = f"{name}\n{new.verifier()}\ntime {time_us}\n"
    signers = [new] if old is None else [old, new]
    signatures = tuple(signer.sign(text, name) for signer in signers)
    return note.render(Note(text=text, signatures=signatures))


def read(data: bytes) -> list[Statement]:
    """Read statements written one after another. Raises UsageError `key_chain_broken`."""
    statements = [_read_one(each) for each in note.split(data)]
    for number, one in enumerate(statements):
        name = f"{one.key.name}/key"
        signers = [each.key for each in statements[max(0, number - 1) : number + 1]]
        is_of_one = one.key.name == statements[0].key.name
        if not is_of_one or not all(holds(one.note, _named(key, name)) for key in signers):
            raise _broken(f"key {number + 1} is not vouched for by the one before it")
    return statements


def accepted(statements: Sequence[Statement], trusted: VerifierKey | None) -> list[VerifierKey]:
    """The keys that may sign, in order: the trusted one and those after it; without one, all.

    Raises UsageError `key_untrusted` if the trusted key is not among them.
    """
    keys = [one.key for one in statements]
    if trusted is None:
        return keys
    for number, key in enumerate(keys):
        if (key.name, key.public) == (trusted.name, trusted.public):
            return keys[number:]
    raise UsageError(
        "key_untrusted",
        f"no signature here leads to the trusted key `{trusted}`",
        help="the history was signed with another key; compare with the key you noted at `up`",
    )


def _read_one(data: bytes) -> Statement:
    try:
        one = note.parse(data)
        found = _STATEMENT.fullmatch(one.text)
        if found is None:
            raise _broken("a statement is not in its form")
        key = note.parse_key(found[2])
    except UsageError as error:
        raise _broken(error.message) from error
    if key.name != found[1]:
        raise _broken("a statement is about another installation")
    return Statement(key=key, time_us=int(found[3]), note=one)


def _named(key: VerifierKey, name: str) -> VerifierKey:
    return VerifierKey(name=name, public=key.public)


def _broken(why: str) -> UsageError:
    return UsageError(
        "key_chain_broken",
        f"the public keys of this installation cannot be believed: {why}",
        help="restore `checkpoints/keys` from a backup",
    )
