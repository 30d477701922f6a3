"""How errors leave the control plane: one table of codes, one form of body."""

import logging
import traceback
from http import HTTPStatus

import msgspec
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from ringfence.domain.error import RingfenceError, UnavailableError, UsageError

_LOG = logging.getLogger(__name__)

# A code that is not here takes the status of its family.
STATUSES = {
    "credential_missing": HTTPStatus.UNAUTHORIZED,
    "credential_unknown": HTTPStatus.UNAUTHORIZED,
    "credential_ambiguous": HTTPStatus.BAD_REQUEST,
    "agent_credential": HTTPStatus.FORBIDDEN,
    "role_missing": HTTPStatus.FORBIDDEN,
    "local_only": HTTPStatus.FORBIDDEN,
    "host_refused": HTTPStatus.FORBIDDEN,
    "origin_refused": HTTPStatus.FORBIDDEN,
    "listener_unknown": HTTPStatus.FORBIDDEN,
    "not_found": HTTPStatus.NOT_FOUND,
    "organisation_unknown": HTTPStatus.NOT_FOUND,
    "agent_unknown": HTTPStatus.NOT_FOUND,
    "token_unknown": HTTPStatus.NOT_FOUND,
    "user_unknown": HTTPStatus.NOT_FOUND,
    "key_unknown": HTTPStatus.NOT_FOUND,
    "trace_unknown": HTTPStatus.NOT_FOUND,
    "invocation_unknown": HTTPStatus.NOT_FOUND,
    "budget_unknown": HTTPStatus.NOT_FOUND,
    "approval_unknown": HTTPStatus.NOT_FOUND,
    "sandbox_unknown": HTTPStatus.NOT_FOUND,
    "sandbox_tier": HTTPStatus.CONFLICT,
    "approval_over": HTTPStatus.CONFLICT,
    "approval_own": HTTPStatus.FORBIDDEN,
    "approval_again": HTTPStatus.CONFLICT,
    "approval_changed": HTTPStatus.CONFLICT,
    "undo_running": HTTPStatus.CONFLICT,
    "undo_impossible": HTTPStatus.CONFLICT,
    "approval_nameless": HTTPStatus.FORBIDDEN,
    "secret_unknown": HTTPStatus.NOT_FOUND,
    "secret_elsewhere": HTTPStatus.CONFLICT,
    "method_not_allowed": HTTPStatus.METHOD_NOT_ALLOWED,
    "agent_state": HTTPStatus.CONFLICT,
    "token_revoked": HTTPStatus.CONFLICT,
    "body_too_large": HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    "content_type": HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "internal": HTTPStatus.INTERNAL_SERVER_ERROR,
}

_BY_STATUS = {
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
}


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """What is wrong: a stable code, one line for people, and what to do about it."""

    code: str
    message: str
    help: str


class ErrorBody(msgspec.Struct, frozen=True, kw_only=True):
    """The body of every answer that is not a success."""

    error: Problem


def status_of(error: RingfenceError) -> HTTPStatus:
    """The status an error leaves with."""
    if isinstance(error, UnavailableError):
        return HTTPStatus.SERVICE_UNAVAILABLE
    if isinstance(error, UsageError):
        return STATUSES.get(error.code, HTTPStatus.BAD_REQUEST)
    return HTTPStatus.BAD_GATEWAY


def respond(error: RingfenceError) -> Response:
    """One of our errors as an answer."""
    status = status_of(error)
    response = _answer(status, error.code, error.message, error.help)
    if status is HTTPStatus.UNAUTHORIZED:
        response.headers["www-authenticate"] = 'Bearer realm="ringfence"'
    if status is HTTPStatus.SERVICE_UNAVAILABLE:
        response.headers["retry-after"] = "1"
    return response


def respond_to_unexpected(error: Exception) -> Response:
    """A fault of ours: logged by where it happened, never by a text that could hold a secret."""
    where = "".join(traceback.format_tb(error.__traceback__))
    _LOG.error("unexpected %s in the control plane\n%s", type(error).__name__, where)
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    return _answer(status, "internal", "something went wrong inside Ringfence", "see its log")


async def respond_to_http(_request: Request, error: Exception) -> Response:
    """What the router itself refuses: an unknown path, a wrong method."""
    status = HTTPStatus(error.status_code if isinstance(error, HTTPException) else 500)
    code = _BY_STATUS.get(status, "internal")
    response = _answer(status, code, status.phrase.lower(), "GET /api/v1/openapi.json lists routes")
    if isinstance(error, HTTPException):
        response.headers.update(error.headers or {})
    return response


def _answer(status: HTTPStatus, code: str, message: str, help_text: str) -> Response:
    problem = Problem(code=code, message=message, help=help_text)
    response = Response(
        msgspec.json.encode(ErrorBody(error=problem)), status, media_type="application/json"
    )
    response.headers["cache-control"] = "no-store"
    return response
