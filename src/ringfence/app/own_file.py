"""Which files of the machine are the plane's own: no agent may see them, whatever it is given."""

from collections.abc import Iterator
from pathlib import Path

from ringfence.config.definition.policy import policies_folder
from ringfence.config.settings import Settings
from ringfence.domain.organisation import Organisation
from ringfence.domain.secret import FromFile

_ORGANISATIONS = "organisations"
_URL = "://"


def own_files(organisation: Organisation, settings: Settings) -> tuple[str, ...]:
    """Files and folders, absolute: what decides, what proves, and secrets of this organisation."""
    return tuple(dict.fromkeys(str(each.absolute()) for each in _own(organisation, settings)))


def _own(organisation: Organisation, settings: Settings) -> Iterator[Path]:
    yield settings.config
    yield settings.data
    yield settings.config.parent / _ORGANISATIONS
    if organisation.policies is not None:
        yield policies_folder(organisation.policies, settings.config)
    for key in (settings.signing_key, settings.tls_key, settings.tls_cert):
        if key is not None:
            yield key
    yield from (Path(each) for each in settings.witnesses if _URL not in each)
    for secret in organisation.secrets.values():
        if isinstance(secret.origin, FromFile):
            yield Path(secret.origin.path)
    if organisation.egress.authority:
        yield Path(organisation.egress.authority)
