from pathlib import Path

from tests.stores.body.conversation import request

from ringfence.stores.body import Body, BodySearch, BodyStore, Part
from ringfence.stores.body.schema import shelf_path


def said(text: str) -> bytes:
    return b'{"role":"user","content":"%s"}' % text.encode()


def keep(folder: Path, bodies: dict[str, Body], organisation: str = "org_a") -> None:
    store = BodyStore.open(folder)
    for action, body in bodies.items():
        entry = store.admit(organisation, action, Part.REQUEST, "inv_1", body)
        assert entry is not None
        store.put([entry])
    store.close()


def find(folder: Path, text: str, organisation: str = "org_a", limit: int = 100) -> list[str]:
    return BodySearch(folder).actions(organisation, text, limit=limit)


def test_a_message_is_found_where_it_came_first(tmp_path: Path) -> None:
    history = [said("hello"), said("refund my order"), said("thank you")]
    keep(tmp_path, {f"act_{n}": request(history[:n]) for n in (1, 2, 3)})
    assert find(tmp_path, "refund") == ["act_2"]
    assert find(tmp_path, "Order REFUND") == ["act_2"]
    assert find(tmp_path, "thank hello") == []


def test_what_came_after_the_last_search_is_found_too(tmp_path: Path) -> None:
    keep(tmp_path, {"act_1": Body(said("first refund"))})
    assert find(tmp_path, "refund") == ["act_1"]
    keep(tmp_path, {"act_2": Body(said("second refund"))})
    assert find(tmp_path, "refund") == ["act_2", "act_1"]
    assert find(tmp_path, "refund", limit=1) == ["act_2"]


def test_nobody_pays_before_somebody_searches(tmp_path: Path) -> None:
    keep(tmp_path, {"act_1": Body(said("refund"))})
    index = shelf_path(tmp_path, "org_a").with_suffix(".search")
    assert not index.exists()
    find(tmp_path, "refund")
    assert index.exists()


def test_no_organisation_finds_another(tmp_path: Path) -> None:
    keep(tmp_path, {"act_1": Body(said("refund"))})
    keep(tmp_path, {"act_2": Body(said("weather"))}, organisation="org_b")
    assert find(tmp_path, "refund", "org_b") == []
    assert find(tmp_path, "refund", "org_c") == []


def test_what_is_typed_is_never_a_command_to_the_index(tmp_path: Path) -> None:
    keep(tmp_path, {"act_1": Body(said("say NEAR or AND"))})
    for text in ('"', "NEA*", "text:", "say OR nothing", "say NOT AND", "''", "!!!", "", "   "):
        assert find(tmp_path, text) == []
    for text in ("near", "NEAR(", "-say", "(or"):
        assert find(tmp_path, text) == ["act_1"]


def test_the_index_keeps_no_text(tmp_path: Path) -> None:
    keep(tmp_path, {"act_1": Body(said("zebra unicorn zebra"))})
    find(tmp_path, "zebra")
    content = shelf_path(tmp_path, "org_a").with_suffix(".search").read_bytes()
    assert b"zebra unicorn" not in content
