"""The stream of a Gemini answer (`alt=sse`): chunks of the same form as a whole answer.

There is no last event: a stream is complete when every candidate has said why it ended.
"""

import msgspec

from ringfence.domain.exchange import Answer
from ringfence.protocols import sse
from ringfence.protocols.event_stream import MALFORMED, EventStream
from ringfence.protocols.gemini.answer import Chunk, Part, WireUsage, decoder


class GeminiStream(EventStream):
    """Reads one stream; every byte is forwarded, also after the last candidate has ended."""

    __slots__ = ("_answers", "_ended", "_finish", "_model", "_searches", "_tool_calls", "_usage")

    def __init__(self, *, answers: int = 1) -> None:
        """Start at the beginning of a stream that gives so many candidates."""
        super().__init__()
        self._answers = answers
        self._ended: set[int] = set()
        self._usage = WireUsage()
        self._searches = 0
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
                searches=self._searches,
                output_floor=self.output_floor_tokens,
                estimated=not self.is_complete,
            ),
            finish=self._finish,
            response_model=self._model,
            tool_calls=tuple(self._tool_calls),
            error=self._error,
        )

    def _take(self, event: bytes) -> bool:
        data = sse.read(event).data
        if data is not None:
            try:
                self._learn(decoder.decode(data))
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
                self._error = self._error or MALFORMED
        return True

    def _learn(self, chunk: Chunk) -> None:
        for part in chunk.parts:
            self._learn_part(part)
        self._usage = chunk.usage_metadata or self._usage
        self._searches = max(self._searches, chunk.searches)
        self._model = chunk.model_version or self._model
        self._error = self._error or chunk.error_status
        for candidate in chunk.candidates or ():
            if candidate.finish_reason:
                self._ended.add(candidate.index or 0)
        if chunk.prompt_feedback and chunk.prompt_feedback.block_reason:
            self._ended.update(range(self._answers))
        self._finish = chunk.finish or self._finish

    def _learn_part(self, part: Part) -> None:
        self._count(part.text)
        if part.function_call:
            self._count(part.function_call.name)
            self._tool_calls.append(part.function_call.name or "")
