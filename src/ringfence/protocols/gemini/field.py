"""The request fields of Gemini and what they mean to governance, under their camelCase names.

Source: `GenerateContentConfig`, `GenerationConfig` and their conversion for the Gemini API in
google-genai 3.4.0 (read 2026-11-21).
"""

from typing import Final

from ringfence.protocols.closed_field import ClosedFieldTable
from ringfence.protocols.field import Field, Meaning

_READ, _FREE, _PRICED = Meaning.READ, Meaning.FREE, Meaning.PRICED

_SAMPLING: Final = "shapes the answer within its output limit"


def is_text_only(value: object) -> bool:
    """Whether `responseModalities` asks for nothing but text."""
    return isinstance(value, list) and all(str(item).upper() == "TEXT" for item in value)


def is_standard(value: object) -> bool:
    """Whether a service tier is the one without surcharge or discount."""
    return str(value).upper().removeprefix("SERVICE_TIER_") in {"STANDARD", "UNSPECIFIED"}


def is_no_finer(value: object) -> bool:
    """Whether media are read at a resolution that takes no more tokens than the default."""
    level = str(value).upper().removeprefix("MEDIA_RESOLUTION_")
    return level in {"UNSPECIFIED", "LOW", "MEDIUM"}


FIELDS: Final = ClosedFieldTable(
    [
        Field("contents", _READ, "the input"),
        Field("systemInstruction", _READ, "the input"),
        Field("tools", _READ, "functions of the agent, and hosted tools by their name"),
        Field("generationConfig", _READ, "holds the output limit; has a table of its own"),
        Field("model", _READ, "refused: the model stands in the path"),
        Field("cachedContent", Meaning.OBJECT, "kept input joins the one in the body"),
        Field("serviceTier", _PRICED, "each tier has rates of its own", is_standard),
        Field("toolConfig", _FREE, "chooses among the tools given"),
        Field("safetySettings", _FREE, "can only end an answer earlier"),
        Field("labels", _FREE, "words on the provider's bill"),
    ]
)

CONFIG: Final = ClosedFieldTable(
    [
        Field("maxOutputTokens", _READ, "the output limit"),
        Field("candidateCount", _READ, "every answer is paid for"),
        Field("responseModalities", _PRICED, "sound and images have own rates", is_text_only),
        Field("speechConfig", _PRICED, "sound is paid for at rates of its own"),
        Field("imageConfig", _PRICED, "larger images cost more"),
        Field("mediaResolution", _PRICED, "finer media take more tokens", is_no_finer),
        Field("routingConfig", _PRICED, "chooses among models"),
        Field("modelSelectionConfig", _PRICED, "chooses among models"),
        Field("audioTimestamp", _FREE, "adds marks to the answer"),
        Field("enableEnhancedCivicAnswers", _FREE, _SAMPLING),
        Field("frequencyPenalty", _FREE, _SAMPLING),
        Field("logprobs", _FREE, "adds to the answer, not to what is paid"),
        Field("presencePenalty", _FREE, _SAMPLING),
        Field("responseJsonSchema", _FREE, "its schema is in the body"),
        Field("responseLogprobs", _FREE, "adds to the answer, not to what is paid"),
        Field("responseMimeType", _FREE, "the form of a text"),
        Field("responseSchema", _FREE, "its schema is in the body"),
        Field("seed", _FREE, _SAMPLING),
        Field("stopSequences", _FREE, "only ends an answer earlier"),
        Field("temperature", _FREE, _SAMPLING),
        Field("thinkingConfig", _FREE, "thoughts count as output, within the limit"),
        Field("topK", _FREE, _SAMPLING),
        Field("topP", _FREE, _SAMPLING),
    ]
)
"""The members of `generationConfig`."""
