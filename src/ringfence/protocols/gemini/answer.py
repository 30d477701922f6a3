"""Answers of Gemini, whole or as one chunk of a stream; both have the same form.

Source: `GenerateContentResponse` and `GenerateContentResponseUsageMetadata` of google-genai 3.4.0.
"""

from typing import Final

import msgspec

from ringfence.domain.error import PeerError
from ringfence.domain.exchange import Answer
from ringfence.domain.usage import Usage
from ringfence.protocols.lenient import texts


class WireUsage(msgspec.Struct, rename="camel"):
    """`usageMetadata`; a stream repeats it with running totals."""

    prompt_token_count: int | None = None
    candidates_token_count: int | None = None
    total_token_count: int | None = None
    cached_content_token_count: int | None = None
    thoughts_token_count: int | None = None
    tool_use_prompt_token_count: int | None = None

    def normalised(
        self, *, searches: int = 0, output_floor: int = 0, estimated: bool = False
    ) -> Usage | None:
        """In the shape of all dialects; None if nothing was stated.

        Thoughts and results of hosted tools stand beside the other counts here, not in them. A
        total that is larger than all of them is believed, and what it adds is output.
        """
        if self.prompt_token_count is None and self.total_token_count is None:
            return None
        thoughts = self.thoughts_token_count or 0
        given = (self.prompt_token_count or 0) + (self.tool_use_prompt_token_count or 0)
        output = (self.candidates_token_count or 0) + thoughts
        output = max(output, (self.total_token_count or 0) - given)
        return Usage(
            input_tokens=given,
            output_tokens=max(output, output_floor),
            cache_read_tokens=self.cached_content_token_count or 0,
            reasoning_tokens=thoughts,
            hosted_uses={"googleSearch": searches} if searches else {},
            estimated=estimated or not self._tells_output or self.prompt_token_count is None,
        )

    @property
    def _tells_output(self) -> bool:
        return self.candidates_token_count is not None or self.total_token_count is not None


class Call(msgspec.Struct):
    """A function call."""

    name: str | None = None


class Part(msgspec.Struct, rename="camel"):
    """One part of an answer, as far as it is read."""

    text: str | None = None
    function_call: Call | None = None


class Content(msgspec.Struct):
    """What one candidate says."""

    parts: list[Part] | None = None


class Grounding(msgspec.Struct, rename="camel"):
    """What Google searched for; each query is a use of `googleSearch`."""

    web_search_queries: list[str] | None = None


class Candidate(msgspec.Struct, rename="camel"):
    """One of the answers."""

    content: Content | None = None
    finish_reason: str | None = None
    index: int | None = None
    grounding_metadata: Grounding | None = None


class PromptFeedback(msgspec.Struct, rename="camel"):
    """Why there is no answer at all."""

    block_reason: str | None = None


class WireError(msgspec.Struct):
    """The inner object of an error."""

    status: str | None = None


class Chunk(msgspec.Struct, rename="camel"):
    """A whole answer, a chunk of a stream, or an error document."""

    candidates: list[Candidate] | None = None
    prompt_feedback: PromptFeedback | None = None
    usage_metadata: WireUsage | None = None
    model_version: str | None = None
    error: WireError | None = None

    @property
    def parts(self) -> list[Part]:
        """The parts of all candidates."""
        contents = [candidate.content for candidate in self.candidates or ()]
        return [part for content in contents if content for part in content.parts or ()]

    @property
    def finish(self) -> str:
        """The last candidate's reason, else why the prompt was blocked."""
        reasons = texts(*[candidate.finish_reason for candidate in self.candidates or ()])
        blocked = self.prompt_feedback.block_reason if self.prompt_feedback else None
        return reasons[-1] if reasons else blocked or ""

    @property
    def tool_calls(self) -> tuple[str, ...]:
        """Names of the functions that the agent is asked to call."""
        return texts(*[part.function_call.name for part in self.parts if part.function_call])

    @property
    def searches(self) -> int:
        """How many queries the provider searched the web for."""
        groundings = [candidate.grounding_metadata for candidate in self.candidates or ()]
        return sum(len(found.web_search_queries or ()) for found in groundings if found)

    @property
    def error_status(self) -> str:
        """The provider's own word for an error; empty if there is none."""
        return (self.error.status or "error") if self.error else ""


decoder: Final = msgspec.json.Decoder(Chunk)


def read_answer(body: bytes) -> Answer:
    """Read an answer or an error. Raises PeerError `provider_malformed`."""
    try:
        chunk = decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        message = "the provider's answer is not a Gemini answer"
        raise PeerError("provider_malformed", message) from error
    return Answer(
        usage=(
            chunk.usage_metadata.normalised(searches=chunk.searches)
            if chunk.usage_metadata
            else None
        ),
        finish=chunk.finish,
        response_model=chunk.model_version or "",
        tool_calls=chunk.tool_calls,
        error=chunk.error_status,
    )
