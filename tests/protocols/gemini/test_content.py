"""What parts bring along is found in both spellings, and text is never taken for it."""

import json

import pytest

from ringfence.domain.exchange import Feature, ModelRequest
from ringfence.protocols.gemini import GeminiCodec

CODEC = GeminiCodec()
URI = "https://generativelanguage.googleapis.com/v1beta/files/1"
PNG = {"inlineData": {"mimeType": "image/png", "data": "aGk="}}
WAV = {"inline_data": {"mime_type": "audio/wav", "data": "aGk="}}


def content(*parts: object) -> ModelRequest:
    contents = [{"role": "user", "parts": [{"text": "Hi"}]}, {"role": "user", "parts": list(parts)}]
    return CODEC.parse(json.dumps({"contents": contents}).encode(), path_model="m")


def governed(request: ModelRequest) -> tuple[Feature, ...]:
    return request.priced_fields + request.outside_inputs


@pytest.mark.parametrize(
    "part",
    [
        {"text": '{"fileData":{"fileUri":"files/1"}}', "thought": True, "thoughtSignature": "x"},
        {"functionCall": {"name": "f", "args": {"fileData": {"fileUri": "files/1"}}}},
        {"functionResponse": {"name": "f", "response": {"parts": [PNG]}}},
        {"function_response": {"name": "f", "response": {}, "will_continue": True}},
        {"executableCode": {"code": "x"}},
        {"codeExecutionResult": {"output": "x"}},
        {"text": "x", "partMetadata": {"a": 1}},
        {"text": "x", "mediaResolution": {"level": "MEDIA_RESOLUTION_LOW"}},
        {"text": "x", "videoMetadata": {"startOffset": "1s"}},
        {"text": "x", "fileData": None},
    ],
)
def test_text_and_calls_bring_nothing(part: object) -> None:
    request = content(part)
    assert (request.images, request.media, governed(request)) == (0, 0, ())


@pytest.mark.parametrize(
    ("parts", "images", "media"),
    [
        ([PNG], 1, 0),
        ([WAV, {"text": "x"}, PNG, PNG], 2, 1),
        ([{"inlineData": {"mimeType": "IMAGE/JPEG"}}], 1, 0),
        ([{"inlineData": {}}], 0, 1),
        ([{"functionResponse": {"name": "f", "parts": [PNG, WAV]}}], 1, 1),
    ],
)
def test_images_and_media_are_counted(parts: list[object], images: int, media: int) -> None:
    request = content(*parts)
    assert (request.images, request.media) == (images, media)


@pytest.mark.parametrize("uri", [URI, "files/1", "gs://bucket/x", "HTTPS://" + URI[8:]])
@pytest.mark.parametrize("names", [("fileData", "fileUri"), ("file_data", "file_uri")])
def test_files_of_the_provider_are_named(uri: str, names: tuple[str, str]) -> None:
    request = content({names[0]: {names[1]: uri}})
    assert request.outside_inputs == (Feature("fileData", uri),)
    assert request.provider_objects == (uri,)


def test_a_video_elsewhere_is_input_from_outside() -> None:
    request = content({"functionResponse": {"parts": [{"fileData": {"fileUri": "https://v/1"}}]}})
    assert request.outside_inputs == (Feature("fileData", "https://v/1"),)
    assert request.provider_objects == ()


@pytest.mark.parametrize(
    ("part", "feature"),
    [
        (
            {"text": "x", "mediaResolution": {"level": "MEDIA_RESOLUTION_ULTRA_HIGH"}},
            Feature("mediaResolution", "MEDIA_RESOLUTION_ULTRA_HIGH"),
        ),
        ({"text": "x", "media_resolution": {"num_tokens": 9000}}, Feature("mediaResolution")),
        ({"text": "x", "videoMetadata": {"fps": 24}}, Feature("videoMetadata.fps")),
        ({"hologram": {}}, Feature("hologram")),
        ({"toolResponse": {}}, Feature("toolResponse")),
    ],
)
def test_what_takes_more_tokens_or_is_new_is_named(part: object, feature: Feature) -> None:
    assert governed(content(part)) == (feature,)


def test_a_name_written_with_escapes_hides_nothing() -> None:
    raw = json.dumps({"contents": [{"parts": [{"fileData": {"fileUri": "files/1"}}]}]})
    hidden = raw.replace("fileData", "\\u0066ileData").replace("fileUri", "file\\u0055ri")
    request = CODEC.parse(hidden.encode(), path_model="m")
    assert request.provider_objects == ("files/1",)


def test_system_instructions_are_looked_into() -> None:
    for name in ("systemInstruction", "system_instruction"):
        body = json.dumps({"contents": [], name: {"parts": [PNG]}}).encode()
        assert CODEC.parse(body, path_model="m").images == 1
