"""The key that signs the record: whether it is there, the owner's alone, and the right one."""

from collections.abc import Iterator

from ringfence.cli.doctor.finding import Finding
from ringfence.config.settings import Settings
from ringfence.domain.error import RingfenceError
from ringfence.stores.checkpoint import SigningKeys
from ringfence.stores.checkpoint.place import keys_path


def keys(settings: Settings) -> Iterator[Finding]:
    """Nothing before the first start: then there is none yet."""
    if not keys_path(settings.data).exists():
        return
    found = SigningKeys(settings.data, settings.signing_key)
    try:
        current, statements = found.current(), found.statements()
    except RingfenceError as error:
        yield Finding("bad", error.message, error.help)
        return
    if not any(statement.key.public == current.public for statement in statements):
        what = f"the signing key `{found.path}` is not the one that signed this record"
        yield Finding("bad", what, "put the right one back; it is in a backup of the data folder")
        return
    yield Finding(
        "ok", f"the signing key is its owner's alone (number {len(statements)} of this record)"
    )
