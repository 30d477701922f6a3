import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ringfence.domain.error import PeerError
from ringfence.domain.exchange import Feature, ModelRequest
from ringfence.protocols.chat import ChatCodec

CODEC = ChatCodec()


def _parse(*messages: object) -> ModelRequest:
    return CODEC.parse(json.dumps({"model": "m", "messages": messages}).encode())


def _part(part: dict[str, object]) -> ModelRequest:
    return _parse({"role": "user", "content": "x"}, {"role": "user", "content": [part]})


def _is_plain(request: ModelRequest) -> bool:
    return not (
        request.images
        or request.media
        or request.outside_inputs
        or request.priced_fields
        or request.hosted_tools
    )


@pytest.mark.parametrize(
    "message",
    [
        {"role": "user", "content": "image_url"},
        {"role": "user", "content": [{"type": "text", "text": "input_audio"}]},
        {"role": "user", "content": ["text"]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c", "type": "function"}]},
        {"role": "assistant", "content": [{"type": "refusal", "refusal": "no"}], "audio": None},
        {"role": "assistant", "content": "x", "reasoning_content": "y", "new_field": {"a": 1}},
        {"role": "assistant", "content": [{"type": "thinking", "thinking": []}]},
        {"role": "tool", "tool_call_id": "c", "content": '{"image_url": "data:"}'},
        {
            "role": "user",
            "content": [
                {
                    "type": "text",
                    "text": "t",
                    "prompt_cache_breakpoint": {"mode": "explicit", "ttl": "30m"},
                }
            ],
        },
    ],
)
def test_text_brings_nothing_along(message: dict[str, object]) -> None:
    assert _is_plain(_parse(message))


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}},
        {"type": "image_url", "image_url": "HTTP://x.example/a.png"},
        {"type": "image", "image": "AAAA"},
    ],
)
def test_an_image_counts_as_one(part: dict[str, object]) -> None:
    request = _part(part)
    assert (request.images, request.media, request.outside_inputs) == (1, 0, ())


def test_an_image_kept_elsewhere_is_an_object_of_the_provider() -> None:
    request = _part({"type": "image_url", "image_url": {"url": "file-1"}})
    assert request.provider_objects == ("file-1",)
    assert request.outside_inputs == (Feature("image_url", "file-1"),)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
        {"type": "file", "file": {"file_data": "data:application/pdf;base64,AAAA"}},
        {"type": "video_url", "video_url": {"url": "https://x.example/v.mp4"}},
    ],
)
def test_sound_documents_and_films_are_media(part: dict[str, object]) -> None:
    request = _part(part)
    assert (request.images, request.media, request.outside_inputs) == (0, 1, ())


def test_an_uploaded_file_is_an_object_of_the_provider() -> None:
    request = _part({"type": "file", "file": {"file_id": "file-1"}})
    assert request.provider_objects == ("file-1",)
    assert request.outside_inputs == (Feature("file_id", "file-1"),)


def test_an_earlier_spoken_answer_is_an_object_of_the_provider() -> None:
    request = _parse({"role": "assistant", "audio": {"id": "audio_1"}})
    assert request.provider_objects == ("audio_1",)


def test_a_part_of_an_unknown_type_is_outside_input() -> None:
    assert _part({"type": "hologram"}).outside_inputs == (Feature("hologram"),)


def test_a_longer_cache_lifetime_is_priced() -> None:
    request = _part({"type": "text", "text": "", "prompt_cache_breakpoint": {"ttl": "12h"}})
    assert request.priced_fields == (Feature("prompt_cache_breakpoint.ttl", "12h"),)


def test_images_beside_the_content_count() -> None:
    assert _parse({"role": "user", "content": "x", "images": ["AAAA", "BBBB"]}).images == 2


def test_escapes_hide_nothing() -> None:
    raw = b'{"role":"user","cont\\u0065nt":[{"t\\u0079pe":"\\u0069mage_url","image_url":"data:"}]}'
    request = CODEC.parse(b'{"model":"m","messages":[' + raw + b"]}")
    assert request.images == 1


_NAMES = st.sampled_from(["role", "content", "audio", "name", "images", "tool_calls"])
_CONTENTS = st.sampled_from(
    ['"x"', "null", '[{"type":"text","text":"x"}]', '[{"type":"image_url","image_url":"data:"}]']
)


@given(st.lists(st.tuples(_NAMES, _CONTENTS), max_size=4))
def test_first_wins_and_last_wins_parsers_find_the_same_images(
    pairs: list[tuple[str, str]],
) -> None:
    raw = "{" + ",".join(f'"{name}":{value}' for name, value in pairs) + "}"
    body = f'{{"model":"m","messages":[{raw}]}}'.encode()
    try:
        images = CODEC.parse(body).images
    except PeerError:
        return
    for pick in (dict(pairs), dict(reversed(pairs))):
        content = json.loads(pick.get("content", "null"))
        seen = [part for part in content or () if isinstance(part, dict)]
        beside = json.loads(pick.get("images", "null"))
        beside = len(beside) if isinstance(beside, list) else 0
        assert images == sum(part["type"] == "image_url" for part in seen) + beside


def test_many_messages_that_are_not_plain_are_refused() -> None:
    with pytest.raises(PeerError, match="too many values"):
        _parse(*[{"z": 1}] * 30_000)


@pytest.mark.parametrize(
    ("part", "images", "media"),
    [
        ({"image_url": {"url": "https://x/a.png"}}, 1, 0),
        ({"video_url": {"url": "https://x/a.mp4"}}, 0, 1),
        ({"type": "text", "text": "x", "audio_url": {"url": "https://x/a.mp3"}}, 0, 1),
        ({"type": "text", "text": "x", "image_url": {"url": "https://x/a.png"}}, 1, 0),
        ({"type": "input_image", "image_url": "https://x/a.png"}, 1, 0),
        ({"type": "input_audio", "image_url": "https://x/a.png"}, 1, 1),
    ],
)
def test_media_count_by_their_names_whatever_the_type_says(
    part: dict[str, object], images: int, media: int
) -> None:
    found = _part(part)
    assert (found.images, found.media) == (images, media)


def test_a_part_without_a_type_is_from_outside_unless_known() -> None:
    assert _part({"text": "x"}).outside_inputs == ()
    assert _part({"tensor": "x"}).outside_inputs == (Feature("tensor"),)
