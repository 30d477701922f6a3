"""The model gateway's door: a request in, a call begun or a refusal out."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from ringfence.domain.error import PeerError
from ringfence.domain.verdict import Code, Deny, Refused, Throttle
from ringfence.enforcement.allowance import Allowance
from ringfence.enforcement.authority import Authority
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.dispatch import Dispatcher
from ringfence.enforcement.lack import Lacking
from ringfence.enforcement.model_call import ModelKnock, ModelPath
from ringfence.enforcement.refusal import RefusedAction, RequestedAction, reason_of
from ringfence.enforcement.ticket import Ticket
from ringfence.gateways.answer import answer_refusal, client_of
from ringfence.gateways.head import Head
from ringfence.gateways.model.ask import Ask, DoorLimits
from ringfence.gateways.model.buffer import read_request, request_at_once
from ringfence.gateways.model.call import Call, Means
from ringfence.gateways.model.endpoint import Endpoint
from ringfence.gateways.model.passing import pass_on
from ringfence.gateways.model.reading import Codecs
from ringfence.protocols import headers as passing
from ringfence.protocols.dialect import Codec
from ringfence.transport.clock import Clock
from ringfence.transport.http import Request, Response
from ringfence.transport.work import until_over


class ModelDoor:
    """Translates between four dialects and the enforcement path; decides nothing itself."""

    def __init__(  # noqa: PLR0913 (the parts that the door joins)
        self,
        *,
        path: ModelPath,
        dispatcher: Dispatcher,
        codecs: Codecs,
        clock: Clock,
        limits: DoorLimits | None = None,
        allowance: Allowance | None = None,
        authority: Authority | None = None,
    ) -> None:
        """One door serves every request of a worker."""
        self._path = path
        self._codecs = codecs
        self._limits = limits or DoorLimits()
        self._allowance = allowance or Allowance()
        self._means = Means(
            path=path,
            dispatcher=dispatcher,
            clock=clock,
            limits=self._limits,
            authority=authority or Authority(clock),
            pass_on=pass_on,
        )

    def handle(
        self,
        caller: Caller,
        endpoint: Endpoint,
        request: Request,
        response: Response,
        head: Head,
    ) -> Call | Coroutine[Any, Any, None] | None:
        """Begin to answer one request of a caller who is known.

        A coroutine if that must wait: for the rest of the body, or for another process.
        """
        portion = self._allowance.enter(caller)
        if isinstance(portion, Throttle):
            _turn_away(self._path, caller, endpoint, request, response, portion)
            return None
        ask = Ask(request=request, response=response, endpoint=endpoint, portion=portion)
        begun: Call | Coroutine[Any, Any, None] | None = None
        try:
            body = request_at_once(request, self._limits.request_bytes, portion)
            if body is None:
                begun = self._handle_late(caller, ask, head)
            else:
                begun = self._begin(caller, ask, head, body)
        except PeerError as error:
            self._refuse(caller, ask, Deny(reason=reason_of(error)))
        finally:
            if begun is None:
                portion.leave()
        return begun

    async def _handle_late(self, caller: Caller, ask: Ask, head: Head) -> None:
        """The same for a body that is still on its way."""
        begun: Call | Coroutine[Any, Any, None] | None = None
        try:
            async with asyncio.timeout(self._limits.body_s):
                body = await read_request(ask.request, self._limits.request_bytes, ask.portion)
            begun = self._begin(caller, ask, head, body)
        except TimeoutError:
            what = f"its body did not come within {self._limits.body_s:g} seconds"
            late = PeerError(Code.REQUEST_MALFORMED, what)
            self._refuse(caller, ask, Deny(reason=reason_of(late)))
        except PeerError as error:
            self._refuse(caller, ask, Deny(reason=reason_of(error)))
        finally:
            if begun is None:
                ask.portion.leave()
        if isinstance(begun, Call):
            await until_over(begun)
        elif begun is not None:
            await begun

    def _begin(
        self, caller: Caller, ask: Ask, head: Head, body: bytes | Throttle
    ) -> Call | Coroutine[Any, Any, None] | None:
        """Read the body and knock at the path. Raises PeerError `request_malformed`."""
        if isinstance(body, Throttle):
            self._refuse(caller, ask, body)
            return None
        endpoint = ask.endpoint
        codec = self._codecs.of(caller.runtime.organisation.id, endpoint.dialect)
        query = passing.query_to_provider(
            ask.request.query, endpoint.dialect, is_stream=endpoint.path_stream
        )
        asked = codec.parse(body, path_model=endpoint.path_model, path_stream=endpoint.path_stream)
        knock = ModelKnock(
            caller=caller,
            request=asked,
            protocol=endpoint.protocol,
            hints=head.hints,
            client=head.client,
            within=head.within,
        )
        begun = self._path.begin(knock)
        if isinstance(begun, Lacking):
            return self._begin_supplied(ask, codec, knock, query, begun)
        return self._call(ask, codec, query, begun)

    async def _begin_supplied(
        self, ask: Ask, codec: Codec, knock: ModelKnock, query: bytes, lacking: Lacking
    ) -> None:
        """Wait for what another process holds, then go on."""
        call: Call | None = None
        try:
            begun = await self._path.supply(knock, lacking, lambda: ask.response.is_disconnected)
            call = self._call(ask, codec, query, begun)
        finally:
            if call is None:
                ask.portion.leave()
        if call is not None:
            await until_over(call)

    def _call(
        self,
        ask: Ask,
        codec: Codec,
        query: bytes,
        begun: Ticket | RefusedAction,
    ) -> Call | None:
        if isinstance(begun, RefusedAction):
            answer_refusal(ask.request, ask.response, ask.endpoint.dialect, begun)
            return None
        return Call(self._means, ask, codec, query, begun)

    def _refuse(self, caller: Caller, ask: Ask, verdict: Refused) -> None:
        _turn_away(self._path, caller, ask.endpoint, ask.request, ask.response, verdict)


def _turn_away(  # noqa: PLR0913, PLR0917 (a refusal has these parts)
    path: ModelPath,
    caller: Caller,
    endpoint: Endpoint,
    request: Request,
    response: Response,
    verdict: Refused,
) -> None:
    """Refuse what has not been read, on the record."""
    requested = RequestedAction(operation=endpoint.dialect.value, client=client_of(request.headers))
    refused = path.refuse(caller, verdict, requested)
    answer_refusal(request, response, endpoint.dialect, refused)
