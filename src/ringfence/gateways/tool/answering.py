"""What the tool door says to a client that no call says: errors, refusals, results of its own."""

from collections.abc import Coroutine
from typing import Any, final

from ringfence.domain.error import PeerError, RingfenceError
from ringfence.domain.verdict import Code, Deny, Reason
from ringfence.enforcement.directory import Caller
from ringfence.enforcement.refusal import RequestedAction, reason_of
from ringfence.enforcement.tool_call import ToolPath
from ringfence.gateways.answer import answer_refusal, client_of
from ringfence.gateways.tool import said
from ringfence.gateways.tool.asking import FailedError
from ringfence.gateways.tool.outlet import JSON
from ringfence.gateways.tool.post import Post, era_of
from ringfence.protocols.mcp import error as errors
from ringfence.protocols.mcp import message
from ringfence.protocols.mcp.error import McpError
from ringfence.protocols.mcp.request import Asked
from ringfence.transport.http import Request, Response


@final
class Answering:
    """One for each door."""

    def __init__(self, path: ToolPath) -> None:
        """Refusals are recorded by the path."""
        self._path = path

    def shown(self, asked: Asked, result: bytes) -> bytes:
        """The answer around a server's result. Raises McpError for one that shows a secret (I5)."""
        if self._path.inspections.shows_secret(result):
            fault = errors.read(said.WITHHELD)
            raise McpError(fault.code, fault.message)
        return message.response(asked.message.id, result)

    def say_error(self, post: Post, number: bytes, error: McpError) -> None:
        """Answer with an error of the protocol, if there is no answer yet."""
        raw = errors.document(number, error.code, error.message, error.data)
        if self._path.inspections.shows_secret(raw):
            fault = errors.read(said.WITHHELD)
            raw = errors.document(number, fault.code, fault.message)
        if not post.response.is_started and not post.response.is_disconnected:
            post.response.send(error.status, [JSON], raw)

    def refuse(self, post: Post, asked: Asked, why: Reason) -> None:
        """Record that a request is refused and answer so, in the words of its era."""
        if post.response.is_started or post.response.is_disconnected:
            return
        requested = RequestedAction(
            resource=f"{post.server}__{asked.message.method}"[:200],
            operation=asked.message.method,
            client=post.head.client,
        )
        refused = self._path.refuse(post.caller, Deny(reason=why), requested)
        raw, status = said.refusal(asked, refused, era_of(post, asked))
        post.response.send(status, [JSON], raw)

    def deny(self, caller: Caller, request: Request, response: Response, why: Reason) -> None:
        """Record that something is refused that was not read as a message, and answer so."""
        path = request.path[:200].decode("latin-1")
        requested = RequestedAction(
            resource=path, operation="mcp", client=client_of(request.headers)
        )
        refused = self._path.refuse(caller, Deny(reason=why), requested)
        answer_refusal(request, response, None, refused)

    def guarded(
        self, post: Post, asked: Asked, work: Coroutine[Any, Any, None]
    ) -> Coroutine[Any, Any, None]:
        """Work that answers by itself; what it raises is answered here, and its room given back."""

        async def guarded() -> None:
            try:
                await work
            except McpError as error:
                self.say_error(post, asked.message.id, error)
            except FailedError as error:
                why = said.failed(post.server or "in reach", error.failure)
                self.refuse(post, asked, why)
            except RingfenceError as error:
                why = reason_of(error) if isinstance(error, PeerError) else unavailable(error)
                self.refuse(post, asked, why)
            finally:
                post.portion.leave()

        return guarded()


def unavailable(error: RingfenceError) -> Reason:
    """A tool server, or the worker that keeps its state, that cannot be reached."""
    text = f"The tool server cannot be reached: {error.message}."
    return Reason(code=Code.TOOL_UNAVAILABLE, message=text, facts=(("cause", error.code),))
