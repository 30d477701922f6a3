"""The handler of the scripted model server: model endpoints, and `/_scripted` to watch and steer.

`GET /_scripted/requests` lists what came in, `GET /_scripted/requests/N/body` gives a body as it
came, `DELETE /_scripted/requests` forgets and starts the script again, `PUT /_scripted/script`
loads another script.
"""

import re

import msgspec

from ringfence.domain.error import PeerError, UsageError
from ringfence.domain.model import Dialect
from ringfence.testing.model import chat, embeddings, gemini, listing, messages
from ringfence.testing.model.delivery import Delivery
from ringfence.testing.model.journal import Entry, Journal
from ringfence.testing.model.playbook import Chosen, Playbook
from ringfence.testing.model.question import MalformedError, Question, read
from ringfence.testing.model.route import Route, find
from ringfence.testing.model.script import Script, parse
from ringfence.transport.clock import Clock
from ringfence.transport.http import Request, Response

_BODY_LIMIT_BYTES = 64 * 1024 * 1024
_JSON = [(b"content-type", b"application/json")]
_BYTES = [(b"content-type", b"application/octet-stream")]
_BODY_PATH = re.compile(r"/_scripted/requests/(\d+)/body$")


class ScriptedModel:
    """Answers like a provider, as its script says."""

    def __init__(self, script: Script, clock: Clock) -> None:
        """Ready to answer; `handle` is the handler for `transport.server`."""
        self._clock = clock
        self.journal = Journal()
        self.play(script)

    def play(self, script: Script) -> None:
        """Play another script from now on, from its beginning."""
        self._models = script.models
        self._playbook = Playbook(script)

    async def handle(self, request: Request, response: Response) -> None:
        """Answer one request."""
        path = request.path.decode("latin-1")
        route = find(path) if request.method == b"POST" else None
        if route is not None:
            await self._model_call(route, request, response)
        elif path.startswith("/_scripted/"):
            await self._control(path, request, response)
        elif request.method == b"GET" and path == "/healthz":
            _send(response, 200, {"status": "ok"})
        elif request.method == b"GET" and "/models" in path:
            self._list(path, request, response)
        else:
            method = request.method.decode("latin-1")
            _send(response, 404, chat.error(404, f"no endpoint for {method} `{path}`"))

    async def _model_call(self, route: Route, request: Request, response: Response) -> None:
        entry = self.journal.open(request, self._clock.now_us())
        entry.dialect = route.dialect.value
        try:
            body = await request.read(_BODY_LIMIT_BYTES)
        except PeerError as error:
            _send(response, 413, chat.error(413, error.message))
            return
        self.journal.keep(entry, body)
        delivery = Delivery(route.dialect, response, entry)
        try:
            question = read(route.dialect, body, path_model=route.model, stream=route.stream)
            if route.dialect in {Dialect.MESSAGES, Dialect.COUNT_TOKENS}:
                messages.check_version(request.header(b"anthropic-version"), body)
        except MalformedError as error:
            delivery.refuse(400, str(error))
            return
        _note(entry, question)
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in request.headers}
        chosen = self._playbook.choose(question, headers)
        if chosen is None:
            delivery.refuse(400, "no rule of the script answers this request")
        else:
            await delivery.give(chosen, question, _document(chosen, question, request, body))

    async def _control(self, path: str, request: Request, response: Response) -> None:
        match request.method, path:
            case b"GET", "/_scripted/requests":
                _send(
                    response, 200, {"total": self.journal.total, "requests": self.journal.entries}
                )
            case b"DELETE", "/_scripted/requests":
                self.journal.reset()
                self._playbook.reset()
                _send(response, 200, {"total": 0})
            case b"PUT", "/_scripted/script":
                await self._load(request, response)
            case b"GET", _ if match := _BODY_PATH.match(path):
                body = self.journal.body(int(match[1]))
                response.send(404 if body is None else 200, _BYTES, body or b"")
            case _:
                _send(response, 404, chat.error(404, f"no endpoint `{path}`"))

    async def _load(self, request: Request, response: Response) -> None:
        body = await request.read(_BODY_LIMIT_BYTES)
        try:
            self.play(parse(body.decode("utf-8")))
        except (UnicodeDecodeError, UsageError) as error:
            _send(response, 400, chat.error(400, str(error)))
        else:
            _send(response, 200, {"loaded": True})

    def _list(self, path: str, request: Request, response: Response) -> None:
        if "/v1beta/" in path or request.header(b"x-goog-api-key") is not None:
            document = listing.gemini(self._models)
        elif request.header(b"anthropic-version") is not None:
            document = listing.anthropic(self._models)
        else:
            document = listing.openai(self._models)
        _send(response, 200, document)


def _document(chosen: Chosen, question: Question, request: Request, body: bytes) -> object:
    """The document of an answer that an emission alone does not make; None for the others."""
    used = chosen.emission.usage
    match question.dialect:
        case Dialect.COUNT_TOKENS:
            return {"input_tokens": used.input_tokens if used else 0}
        case Dialect.EMBEDDINGS:
            return embeddings.whole(body, question.model, used)
        case Dialect.GEMINI if question.stream and b"alt=sse" not in request.query:
            return gemini.array(chosen.emission)
        case _:
            return None


def _note(entry: Entry, question: Question) -> None:
    entry.model = question.model
    entry.stream = question.stream
    entry.user = question.conversation.user
    entry.turn = question.conversation.turn
    entry.tools = [tool.name for tool in question.tools]
    entry.output_limit = question.output_limit


def _send(response: Response, status: int, document: object) -> None:
    response.send(status, _JSON, msgspec.json.encode(document))
