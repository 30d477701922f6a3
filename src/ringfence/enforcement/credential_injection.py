"""Adds secrets to the requests they belong to, and lets no answer show them to the agent (I5)."""

import re
from base64 import b64encode
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, assert_never, final
from urllib.parse import quote, unquote_to_bytes

from ringfence.decisions import injection as decisions
from ringfence.decisions.injection import Here, Injected
from ringfence.domain.destination import Destination
from ringfence.domain.error import UnavailableError
from ringfence.domain.organisation import Organisation
from ringfence.domain.secret import (
    AsBasic,
    InHeader,
    InQuery,
    SecretDefinition,
    SecretLocation,
    key_of,
)
from ringfence.enforcement.clean_answer import CleanAnswer
from ringfence.enforcement.minting import Mint
from ringfence.enforcement.placeholder import Placeholders
from ringfence.enforcement.runtime import AgentRuntime
from ringfence.protocols.scrubbing import Scrub, Shown
from ringfence.stores.secret import Secrets
from ringfence.transport.http import Headers, Requester

SECRET_MISPLACED: Final = "secret_misplaced"  # noqa: S105 (likewise)
"""The finding that a placeholder was sent where its secret does not belong; it was refused."""

_UNSENDABLE: Final = re.compile(r"[\x00-\x1f\x7f]")
_TELLING_BYTES: Final = 8
"""Shorter values are words: taking them out of answers would spoil these."""

_NOTHING: Final = Scrub(())
_PROTOCOLS: Final = b"sec-websocket-protocol"
_HOSTS_MOST: Final = 1000
"""Remembered with what secrets have to do with them: agents may name any number of hosts."""
_HostKey = tuple[str, frozenset[str], str, int]
_Places = tuple[tuple[str, SecretLocation], ...]
_FILLINGS_MOST: Final = 256
"""Of one sandbox: one for each host, and each choice of secrets there."""


@final
class Filling:
    """The values of one choice of secrets, and what to look for in answers.

    The same object while nothing of it changes. INVARIANT (I5): no repr shows a value.
    """

    __slots__ = ("scrub", "values")

    def __init__(self, values: tuple[tuple[SecretLocation, str], ...], scrub: Scrub) -> None:
        """Made by `Injections.fill` alone."""
        self.values = values
        self.scrub = scrub

    def __repr__(self) -> str:
        """Nothing of it."""
        return "Filling(…)"


@final
class _Kept:
    """A filling, and what it was made of: the secrets of then, and what was got with them."""

    __slots__ = ("filling", "generation", "tokens")

    def __init__(self, generation: object, filling: Filling, tokens: tuple[str, ...]) -> None:
        self.generation = generation
        self.filling = filling
        self.tokens = tokens


_EMPTY: Final = Filling((), _NOTHING)


@final
class Injection:
    """What happens to one request to a host with secrets. INVARIANT (I5): no repr shows a value.

    Only `names`, of the secrets that are added, are for the record.
    """

    __slots__ = ("chosen", "filling", "names", "organisation")

    def __init__(self, organisation: str, chosen: Injected) -> None:
        """Made by `Injections.plan` alone."""
        self.organisation = organisation
        self.chosen = chosen
        self.filling = _EMPTY
        self.names = chosen.names
        """The names of the secrets that are added."""

    def __repr__(self) -> str:
        """Names only."""
        return f"Injection({list(self.names)})"


@final
class Rewritten:
    """Head and target of a request with its secrets in it. INVARIANT (I5): no repr shows them."""

    __slots__ = ("headers", "target")

    def __init__(self, headers: Headers, target: bytes) -> None:
        """Made by `Injections.prepare` alone."""
        self.headers = headers
        self.target = target

    def __repr__(self) -> str:
        """Nothing of it."""
        return "Rewritten(…)"


@final
class _KnownHost:
    """What an agent's secrets have to do with a host, and every choice of them that was made."""

    __slots__ = ("_chosen", "_here")

    def __init__(self, here: Here) -> None:
        self._here = here
        self._chosen: dict[_Places, Injected] = {}

    def choose(self, method: bytes, path: bytes) -> Injected:
        """The same object for the same secrets in the same places."""
        found = self._here.choose(method, path)
        places = tuple((part.secret.name, part.location) for part in found.parts)
        return self._chosen.setdefault(places, found)


@final
class Injections:
    """The secrets of one worker as requests need them.

    INVARIANT: a value is added only to a request over TLS, to exactly the host and port of a
    binding, and whatever the agent sent in its place is taken away.
    """

    def __init__(self, client: Requester, secrets: Secrets) -> None:
        """`client` gets short-lived credentials."""
        self._secrets = secrets
        self._mint = Mint(client)
        self._generation = object()
        self._before: dict[str, str] = {}
        self._known_hosts: dict[_HostKey, tuple[Organisation, _KnownHost | None]] = {}

    def replace_secrets(self, secrets: Secrets) -> None:
        """Use these from now on; what is under way keeps what it began with.

        Answers are searched for the last values before them, too: their hosts may show these still.
        """
        self._before |= {name: gone.reveal() for name, gone in self._secrets.replaced_by(secrets)}
        self._secrets = secrets
        self._mint.clear()
        self._generation = object()

    def placeholders(self, runtime: AgentRuntime) -> Placeholders:
        """What a sandbox of this agent holds in the place of its secrets."""
        mine = self._mine(runtime)
        organisation = runtime.organisation.name
        values = {each.name: self._value(organisation, each.name) for each in mine}
        # A token has a shape of its own, which nobody knows before there is one.
        minted = {each.name: None for each in mine if each.minting is not None}
        return Placeholders(mine, values | minted)

    def choose(
        self, runtime: AgentRuntime, destination: Destination, method: bytes, path: bytes
    ) -> Injected | None:
        """What is to happen to a request; None if no secret of the agent has to do with its host.

        `path` is raw and without its query. It holds for every such request, until the agent or
        its organisation is defined anew.
        """
        if not runtime.agent.secrets or destination.scheme != "https":
            return None
        here = self._here(runtime, destination)
        return None if here is None else here.choose(method, path)

    def plan(self, runtime: AgentRuntime, chosen: Injected) -> Injection:
        """The same for one request."""
        return Injection(runtime.organisation.name, chosen)

    def is_ready(self, injection: Injection) -> bool:
        """Whether a request may go at once: nothing has to be got for it first."""
        return not injection.chosen.is_minted or all(
            part.secret.minting is None
            or self._mint.current((injection.organisation, part.secret.name)) is not None
            for part in injection.chosen.parts
        )

    async def fresh(self, injection: Injection) -> None:
        """Get what the request needs. Raises UnavailableError `oauth_failed` and as `prepare`."""
        for part in injection.chosen.parts:
            minting = part.secret.minting
            if minting is not None:
                key = (injection.organisation, part.secret.name)
                await self._mint.fresh(key, minting, *self._proofs(injection, part.secret))

    def fill(self, injection: Injection, placeholders: Placeholders | None = None) -> Filling:
        """Look up the values of a request. Raises as `prepare`."""
        chosen = injection.chosen
        kept = {} if placeholders is None else placeholders.kept
        known = kept.get(chosen)
        if not (isinstance(known, _Kept) and known.generation is self._generation):
            known = None
        if known is None or chosen.is_minted:
            known = self._filled(injection, placeholders, known)
            if len(kept) >= _FILLINGS_MOST:
                kept.clear()
            kept[chosen] = known
        injection.filling = known.filling
        return known.filling

    def _filled(
        self, injection: Injection, placeholders: Placeholders | None, known: _Kept | None
    ) -> _Kept:
        """The filling of now; with what was compiled before, while that is what it would be."""
        values = tuple(
            (part.location, self._sent(injection, part.secret)) for part in injection.chosen.parts
        )
        tokens = tuple(
            token.value
            for each in injection.chosen.here
            if (token := self._mint.current((injection.organisation, each.name))) is not None
        )
        if known is not None and known.tokens == tokens:
            scrub = known.filling.scrub
        else:
            scrub = Scrub(self._shown(injection, placeholders))
        return _Kept(self._generation, Filling(values, scrub), tokens)

    def prepare(
        self,
        injection: Injection,
        headers: Headers,
        target: bytes,
        placeholders: Placeholders | None = None,
    ) -> Rewritten:
        """Take away what the agent sent to prove itself, and add what belongs there.

        `target` is path and query. Raises UnavailableError `secret_missing` or `secret_unusable`.
        """
        filling = self.fill(injection, placeholders)
        kept: list[tuple[bytes, bytes]] = []
        for label, own in headers:
            if decisions.header_name(label) in injection.chosen.headers:
                continue
            left = own if label != _PROTOCOLS else decisions.subprotocols(own)
            if left or not own:  # an empty list of protocols is malformed (RFC 6455 section 4.1)
                kept.append((label, left))
        kept.append((b"accept-encoding", b"identity"))
        for location, value in filling.values:
            match location:
                case InHeader(name, prefix):
                    kept.append((name.encode(), f"{prefix}{value}".encode()))
                case AsBasic():
                    kept.append((b"authorization", b"Basic " + _basic(location, value)))
                case InQuery():
                    pass  # `target` adds it
                case _ as never:
                    assert_never(never)
        return Rewritten(kept, self.target(injection, target))

    def target(self, injection: Injection, target: bytes) -> bytes:
        """The target alone of a request that was filled."""
        path, mark, query = target.partition(b"?")
        pairs = _without(query, injection.chosen.parameters) if mark else []
        for location, value in injection.filling.values:
            if isinstance(location, InQuery):
                name = quote(location.name, safe="")
                pairs.append(f"{name}={quote(value, safe='')}".encode())
        return path + b"?" + b"&".join(pairs) if pairs else path

    def answer(self, injection: Injection, headers: Headers) -> CleanAnswer:
        """What the agent is shown of the answer to a prepared request.

        Raises PeerError `answer_encoded` for a coding that cannot be undone.
        """
        return CleanAnswer(injection.filling.scrub, headers)

    def refused(self, injection: Injection) -> Sequence[str]:
        """What was sent is not good (401): the secrets whose tokens are got again because of it."""
        values = injection.filling.values
        return [
            part.secret.name
            for part, (_, value) in zip(injection.chosen.parts, values, strict=False)
            if part.secret.minting is not None
            and self._mint.refused((injection.organisation, part.secret.name), value)
        ]

    def _here(self, runtime: AgentRuntime, to: Destination) -> _KnownHost | None:
        """What an agent's secrets have to do with a host; worked out once for a configuration."""
        organisation = runtime.organisation
        key = (organisation.name, runtime.agent.secrets, to.host, to.port)
        known = self._known_hosts.get(key)
        if known is not None and known[0] is organisation:
            return known[1]
        found = decisions.at_host(self._mine(runtime), to.host, to.port)
        here = None if found is None else _KnownHost(found)
        if len(self._known_hosts) >= _HOSTS_MOST:
            self._known_hosts.clear()
        self._known_hosts[key] = (organisation, here)
        return here

    def _mine(self, runtime: AgentRuntime) -> Sequence[SecretDefinition]:
        known = runtime.organisation.secrets
        return [known[name] for name in sorted(runtime.agent.secrets) if name in known]

    def _value(self, organisation: str, name: str) -> str | None:
        secret = self._secrets.named(organisation, name)
        return None if secret is None else secret.reveal()

    def _known(self, organisation: str, name: str) -> str:
        value = self._value(organisation, name)
        if value is None:
            raise UnavailableError(
                "secret_missing",
                f"secret `{name}` has no value",
                help=f"`ringfence secret set {name}`, or look at where it comes from",
            )
        why = unusable(value)
        if why:
            raise UnavailableError("secret_unusable", f"the value of secret `{name}` {why}")
        return value

    def _proofs(self, injection: Injection, secret: SecretDefinition) -> tuple[str, str]:
        """A secret's value, and that of the client's own secret in an exchange."""
        other = secret.minting.client_secret if secret.minting is not None else ""
        organisation = injection.organisation
        value = self._known(organisation, secret.name)
        return value, self._known(organisation, other) if other else ""

    def _sent(self, injection: Injection, secret: SecretDefinition) -> str:
        """What is added for a secret: its value, or what was got with it."""
        if secret.minting is None:
            return self._known(injection.organisation, secret.name)
        key = (injection.organisation, secret.name)
        token = self._mint.current(key)
        if token is None:
            raise UnavailableError("secret_missing", f"secret `{secret.name}` has no token now")
        if self._mint.is_ageing(key):
            self._mint.renew(key, secret.minting, *self._proofs(injection, secret))
        return token.value

    def _shown(self, injection: Injection, placeholders: Placeholders | None) -> Iterable[Shown]:
        """The values, and what is sent of them where that is something else."""
        organisation = injection.organisation
        stand_ins: Mapping[str, str] = {}
        if placeholders is not None:
            stand_ins = {each.name: placeholders.of(each.name) for each in injection.chosen.here}
        for each in injection.chosen.here:
            stand_in = stand_ins.get(each.name, "").encode()
            key = (organisation, each.name)
            token = self._mint.current(key)
            texts = [
                self._value(organisation, each.name),
                token.value if token else None,
                self._before.get(key_of(*key)),
                self._mint.before(key),
            ]
            for value in dict.fromkeys(texts):
                if value is not None and len(value.encode()) >= _TELLING_BYTES:
                    yield Shown(name=each.name, value=value.encode(), stand_in=stand_in)
                    for binding in each.bindings:
                        if isinstance(binding.location, AsBasic):
                            pair = _basic(binding.location, value)
                            yield Shown(name=each.name, value=pair.rstrip(b"="))


def unusable(value: str) -> str:
    """Why a value cannot be added to requests, showing nothing of it; empty if it can."""
    if why := unsendable(value):
        return why
    if len(value.encode()) < _TELLING_BYTES:
        return f"has under {_TELLING_BYTES} bytes: answers could not be searched for it"
    return ""


def unsendable(value: str) -> str:
    """Why no header can carry a value, showing nothing of it; empty if one can."""
    return "has characters that no request can carry" if _UNSENDABLE.search(value) else ""


def _basic(location: AsBasic, value: str) -> bytes:
    return b64encode(f"{location.user}:{value}".encode())


def _without(query: bytes, names: frozenset[str]) -> list[bytes]:
    """The parameters of a query but those; read as servers may, which also part them at `;`."""
    return [
        pair
        for pair in query.split(b"&")
        if not any(
            decisions.parameter_name(unquote_to_bytes(part.partition(b"=")[0].replace(b"+", b" ")))
            in names
            for part in pair.split(b";")
        )
    ]
