"""`/ringfence/v1/invocations`: an agent declares its runs and gets tokens for them."""

import re
from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Final

import msgspec

from ringfence.decisions import reason
from ringfence.domain.error import PeerError, UnavailableError
from ringfence.domain.money import NANO_PER_USD, from_usd
from ringfence.domain.verdict import Code, Deny, Reason
from ringfence.enforcement.authority import LAPSED, Authority
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.invocation import Invocations
from ringfence.enforcement.live import LiveInvocation, Refusable, state_reason
from ringfence.enforcement.model_call import ModelPath
from ringfence.enforcement.narrowing import Narrowing
from ringfence.enforcement.proof import Proofs
from ringfence.enforcement.record import Ledger
from ringfence.enforcement.refusal import RefusedAction, RequestedAction
from ringfence.gateways.answer import answer_refusal, client_of
from ringfence.protocols import strict_json
from ringfence.transport.clock import Clock
from ringfence.transport.http import Request, Response

PATH: Final = b"/ringfence/v1/invocations"
_FINISH: Final = b"/finish"
_BODY_BYTES_MAX: Final = 64 * 1024
_TASK_CHARACTERS_MAX: Final = 2000
_USD_MAX: Final = 1_000_000
_JSON: Final = ((b"content-type", b"application/json"),)
_PATTERN: Final = re.compile(r"[!-~]{1,200}")
_PATTERNS_MAX: Final = 200
_FIELDS: Final = frozenset(
    {"task", "models", "tools", "hosts", "commands", "budget", "seconds", "on_behalf_of"}
)


class InvocationDoor:
    """Opens and finishes declared invocations. Its answers follow the OpenAI error form."""

    def __init__(  # noqa: PLR0913 (the parts that the door joins)
        self,
        *,
        invocations: Invocations,
        path: ModelPath,
        proofs: Proofs,
        ledger: Ledger,
        clock: Clock,
        authority: Authority | None = None,
    ) -> None:
        """One door serves every request of a worker."""
        self._proofs = proofs
        self._invocations = invocations
        self._path = path
        self._ledger = ledger
        self._clock = clock
        self._authority = authority or Authority(clock)

    @staticmethod
    def serves(path: bytes) -> bool:
        """Whether a path belongs to this door."""
        return path == PATH or (path.startswith(PATH + b"/") and path.endswith(_FINISH))

    async def handle(self, caller: Caller, request: Request, response: Response) -> None:
        """Answer one request of a caller who is known."""
        not_active = state_reason(caller.runtime)
        if not_active is not None:
            self._refuse(caller, request, response, Refusable(verdict=Deny(reason=not_active)))
        elif request.method != b"POST":
            self._deny(caller, request, response, method_not_allowed("POST"))
        elif request.path == PATH:
            await self._open(caller, request, response)
        else:
            await self._finish(caller, request, response)

    async def _open(self, caller: Caller, request: Request, response: Response) -> None:
        asked = await self._asked(caller, request, response)
        opened = None if asked is None else await self._declared(*asked, request, response)
        if opened is None:
            return
        live, token = opened
        if not await self._is_durable(caller, request, response):
            # A token that a crash would forget is never given out.
            await self._finished(live)
            return
        withheld = state_reason(caller.runtime) if await self._authority.renewed() else LAPSED
        if withheld is not None:
            await self._finished(live)
            self._deny(caller, request, response, withheld)
            return
        deadline_us = live.identity.deadline_us
        answer = {
            "id": live.id,
            "token": token,
            "root": live.root,
            "parent": live.identity.parent,
            "depth": live.identity.depth,
            "expires_at_us": None if deadline_us is None else str(deadline_us),
        }
        response.send(
            201, [*_JSON, (b"ringfence-invocation", live.id.encode())], msgspec.json.encode(answer)
        )

    async def _asked(
        self, caller: Caller, request: Request, response: Response
    ) -> tuple[Caller, str, Narrowing] | None:
        """Who asks for which run, in whose name; None if that was refused."""
        try:
            task, narrowing, proof = _read(await request.read(_BODY_BYTES_MAX))
        except PeerError as error:
            why = Reason(
                code=Code(error.code), message=f"Ringfence refused this request: {error.message}."
            )
            self._deny(caller, request, response, why)
            return None
        if proof:
            proven = await self._proofs.prove(caller, proof.encode())
            if isinstance(proven, Deny):
                self._deny(caller, request, response, proven.reason)
                return None
            caller = proven
        agent = caller.runtime.agent
        for name in narrowing.models or ():
            if name not in agent.scope.models:
                why = reason.out_of_scope(agent, "model", name, agent.scope.models)
                self._deny(caller, request, response, why)
                return None
        return caller, task, narrowing

    async def _declared(
        self,
        caller: Caller,
        task: str,
        narrowing: Narrowing,
        request: Request,
        response: Response,
    ) -> tuple[LiveInvocation, str] | None:
        """The run and its token; None if it was refused."""
        try:
            opened = await self._invocations.declare(caller, task, narrowing, self._clock.now_us())
        except UnavailableError:
            self._deny(caller, request, response, _UNWRITTEN)
            return None
        if isinstance(opened, Refusable):
            self._refuse(caller, request, response, opened)
            return None
        return opened

    async def _finish(self, caller: Caller, request: Request, response: Response) -> None:
        named = request.path[len(PATH) + 1 : -len(_FINISH)].decode("ascii", "replace")
        live = self._invocations.find(named)
        agent = caller.runtime.agent
        # An invocation token ends its own run; an agent token any run that it opened.
        owned = live is not None and (
            caller.invocation == live.id
            if caller.invocation is not None
            else live.identity.credential == caller.credential
        )
        if live is None or not owned:
            self._deny(caller, request, response, reason.invocation_unknown(agent, named))
            return
        if not await self._finished(live):
            self._deny(caller, request, response, _UNWRITTEN)
            return
        if not await self._is_durable(caller, request, response):
            return
        response.send(200, _JSON, msgspec.json.encode({"id": live.id, "state": live.state.value}))

    async def _finished(self, live: LiveInvocation) -> bool:
        """End a run; whether everybody who must know of it does."""
        try:
            await self._invocations.end(live, self._clock.now_us())
        except UnavailableError:
            return False
        return True

    async def _is_durable(self, caller: Caller, request: Request, response: Response) -> bool:
        """Whether what was just recorded is on disk; if not, the caller has been told so."""
        try:
            await self._ledger.flush()
        except UnavailableError:
            self._deny(caller, request, response, _UNWRITTEN)
            return False
        return True

    def _deny(self, caller: Caller, request: Request, response: Response, why: Reason) -> None:
        self._refuse(caller, request, response, Refusable(verdict=Deny(reason=why)))

    def _refuse(
        self, caller: Caller, request: Request, response: Response, refusable: Refusable
    ) -> None:
        live = refusable.live
        requested = RequestedAction(
            resource="invocation",
            operation="invocations",
            invocation=live.id if live else "",
            root=live.root if live else "",
            client=client_of(request.headers),
        )
        refused: RefusedAction = self._path.refuse(caller, refusable.verdict, requested)
        answer_refusal(request, response, None, refused)


_UNWRITTEN: Final = Reason(
    code=Code.STORE_UNAVAILABLE,
    message="Ringfence cannot write its record right now. Try again in a moment.",
)


def method_not_allowed(allowed: str) -> Reason:
    """The path exists, but not with this method."""
    return Reason(
        code=Code.METHOD_NOT_ALLOWED,
        message=f"This path takes {allowed} only.",
        facts=(("allow", allowed),),
    )


def _read(body: bytes) -> tuple[str, Narrowing, str]:
    """Read a request for an invocation: task, narrowing and proof of a user.

    Raises PeerError `request_malformed`; no error repeats a proof.
    """
    given = strict_json.parse(body or b"{}")
    if not isinstance(given, dict):
        raise _malformed("the body must be a JSON object")
    for name in given:
        if name not in _FIELDS:
            raise _malformed(f"unknown field `{name}`; known are {', '.join(sorted(_FIELDS))}")
    proof = given.get("on_behalf_of") or ""
    if not isinstance(proof, str) or not proof.isascii():
        raise _malformed("`on_behalf_of` must be a user token or a token of a known issuer")
    task = given.get("task", "")
    if not isinstance(task, str) or len(task) > _TASK_CHARACTERS_MAX:
        raise _malformed(f"`task` must be a text of at most {_TASK_CHARACTERS_MAX} characters")
    narrowing = Narrowing(
        models=_read_models(given.get("models")),
        budget_nano=_read_budget(given.get("budget")),
        seconds=_read_seconds(given.get("seconds")),
        tools=_read_patterns(given, "tools"),
        hosts=_read_patterns(given, "hosts"),
        commands=_read_patterns(given, "commands"),
    )
    return task, narrowing, proof


def _read_patterns(given: Mapping[str, object], name: str) -> tuple[str, ...] | None:
    patterns = given.get(name)
    if patterns is None:
        return None
    if not isinstance(patterns, list) or len(patterns) > _PATTERNS_MAX:
        raise _malformed(f"`{name}` must be a list of at most {_PATTERNS_MAX} patterns")
    if not all(isinstance(each, str) and _PATTERN.fullmatch(each) for each in patterns):
        raise _malformed(f"`{name}` must be a list of patterns, such as `crm__get_*`")
    return tuple(patterns)


def _read_models(given: object) -> tuple[str, ...] | None:
    if given is None:
        return None
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise _malformed("`models` must be a list of model names")
    return tuple(given)


def _read_budget(given: object) -> int | None:
    if given is None:
        return None
    amount = given.get("usd") if isinstance(given, dict) and set(given) == {"usd"} else None
    if isinstance(amount, bool) or not isinstance(amount, int | float | str):
        raise _malformed('`budget` must have the form {"usd": 0.50}')
    try:
        usd = Decimal(str(amount))
    except InvalidOperation:
        raise _malformed("`budget.usd` must be a number") from None
    if not usd.is_finite() or not 0 < usd <= _USD_MAX:
        raise _malformed(f"`budget.usd` must be above 0 and at most {_USD_MAX}")
    return min(int(from_usd(usd)), _USD_MAX * NANO_PER_USD)


def _read_seconds(given: object) -> int | None:
    if given is None:
        return None
    if isinstance(given, bool) or not isinstance(given, int) or not 0 < given <= 10**8:
        raise _malformed("`seconds` must be a whole number above 0")
    return given


def _malformed(message: str) -> PeerError:
    return PeerError(Code.REQUEST_MALFORMED, message)
