"""The stream of a Gemini answer (`alt=sse`): chunks of the same form as a whole answer.

There is no last event: a stream is complete when every candidate has said why it ended.
"""

import msgspec

from ringfence.domain.exchange import Answer
from ringfence.protocols import sse
from ringfence.protocols.event_stream import MALFORMED, EventStream
from ringfence.protocols.gemini.answer import Call, Candidate, Chunk, WireUsage, decoder
from ringfence.protocols.lenient import texts


class GeminiStream(EventStream):
    """Reads one stream; every byte is forwarded, also after the last candidate has ended."""

    __slots__ = (
        "_answers",
        "_ended",
        "_finish",
        "_has_last_usage",
        "_model",
        "_searches",
        "_tool_calls",
        "_usage",
    )

    def __init__(self, *, answers: int = 1) -> None:
        """Start at the beginning of a stream that gives so many candidates."""
        super().__init__()
        self._answers = answers
        self._ended: set[int] = set()
        self._usage = WireUsage()
        self._has_last_usage = False
        """Whether no output came after the latest usage."""
        self._searches: dict[int, int] = {}
        self._tool_calls: list[str] = []
        self._model = ""
        self._finish = ""

    @property
    def is_complete(self) -> bool:
        """Whether every candidate has ended, or the prompt was blocked."""
        return len(self._ended) >= self._answers

    def answer(self) -> Answer:
        """What was learned so far. Usage is an estimate until the stream is complete."""
        return Answer(
            usage=self._usage.normalised(
                searches=sum(self._searches.values()),
                output_floor=self.output_floor_tokens,
                estimated=not (self.is_complete and self._has_last_usage),
            ),
            finish=self._finish,
            response_model=self._model,
            tool_calls=tuple(self._tool_calls),
            error=self._error,
        )

    def _take(self, event: bytes) -> bool:
        data = _data(event)
        if data is not None:
            try:
                self._learn(decoder.decode(data))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._error = self._error or MALFORMED
        return True

    def _learn(self, chunk: Chunk) -> None:
        for candidate in chunk.candidates or ():
            self._learn_candidate(candidate)
        if chunk.usage_metadata:
            self._usage = chunk.usage_metadata
            self._has_last_usage = True
        elif chunk.parts:
            self._has_last_usage = False
        if chunk.model_version:
            self._model = chunk.model_version
        if chunk.prompt_feedback and chunk.prompt_feedback.block_reason:
            self._finish = chunk.prompt_feedback.block_reason
            self._ended.update(range(self._answers))
        if chunk.error:
            self._error = self._error or chunk.error_status

    def _learn_candidate(self, candidate: Candidate) -> None:
        if candidate.content:
            for part in candidate.content.parts or ():
                self._count(part.text, candidate.index or 0)
                if part.function_call:
                    self._learn_call(part.function_call)
        if candidate.finish_reason:
            self._finish = candidate.finish_reason
            self._ended.add(candidate.index or 0)
        if candidate.grounding_metadata:
            queries = candidate.grounding_metadata.web_search_queries or ()
            self._searches[candidate.index or 0] = len(queries)

    def _learn_call(self, call: Call) -> None:
        self._count(call.name)
        self._tool_calls += texts(call.name)


def _data(event: bytes) -> bytes | None:
    """The data of an event; quickly for the one line and the line ends that Google writes."""
    if (
        event.startswith(b"data: ")
        and event.endswith(b"\r\n\r\n")
        and event.find(b"\r") == len(event) - 4
        and event.find(b"\n") == len(event) - 3
    ):
        return event[6:-4]
    return sse.read(event).data
