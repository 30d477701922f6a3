from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.stores.body.conversation import request
from tests.stores.body.keeping import keep, messages

from ringfence.domain.error import UsageError
from ringfence.stores.body import Body, BodyReader, BodyStore, Part
from ringfence.stores.body.store import committed


@given(talk=st.lists(st.lists(st.sampled_from(messages(6, words=3)), max_size=6), max_size=5))
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_conversation_comes_back_byte_for_byte(
    tmp_path_factory: pytest.TempPathFactory, talk: list[list[bytes]]
) -> None:
    """Histories that grow, shrink, fork or are rewritten."""
    folder = tmp_path_factory.mktemp("bodies")
    store, reader = BodyStore.open(folder), BodyReader(folder)
    sent = [request(history) for history in talk]
    kept = [keep(store, f"act_{n}", body) for n, body in enumerate(sent)]
    store.close()
    for n, (body, entry) in enumerate(zip(sent, kept, strict=True)):
        assert reader.get("org_a", f"act_{n}", Part.REQUEST) == body.whole
        assert reader.holds("org_a", f"act_{n}", Part.REQUEST, committed(entry))
    reader.close()


def test_a_stream_is_kept_as_its_raw_bytes(tmp_path: Path) -> None:
    stream = b'data: {"x":1}\r\n\r\ndata: [DONE]\n\n\xff\x00'
    store, reader = BodyStore.open(tmp_path), BodyReader(tmp_path)
    keep(store, "act_1", Body(stream), part=Part.RESPONSE)
    assert store.flush()
    assert reader.get("org_a", "act_1", Part.RESPONSE) == stream
    assert reader.get("org_a", "act_1", Part.REQUEST) is None
    assert reader.get("org_a", "act_2", Part.RESPONSE) is None
    assert reader.get("org_b", "act_1", Part.RESPONSE) is None
    reader.close()
    store.close()


@pytest.mark.parametrize("organisation", ["../org_a", "org/a", "", ".", "a" * 200])
def test_an_organisation_names_no_other_place(tmp_path: Path, organisation: str) -> None:
    with pytest.raises(UsageError) as caught:
        BodyReader(tmp_path).get(organisation, "act_1", Part.REQUEST)
    assert caught.value.code == "organisation_malformed"
