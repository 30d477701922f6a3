import msgspec
import pytest

from ringfence.stores.state.secret import SecretRow
from ringfence.stores.state.store import StateStore

ROW = SecretRow(
    organisation="org_1",
    space="secret",
    name="crm",
    generation=1,
    key="k1",
    wrapped=b"wrapped",
    sealed=b"sealed",
    meta={"user": "usr_1"},
    created_us=5,
    changed_us=5,
    changed_by="cli",
)


def test_a_row_comes_back_as_it_was_written(state: StateStore) -> None:
    assert state.secrets.is_empty()
    assert state.secrets.put(ROW) == ROW
    assert state.secrets.get("org_1", "secret", "crm") == ROW
    assert not state.secrets.is_empty()


def test_a_second_value_counts_on_and_keeps_its_beginning(state: StateStore) -> None:
    state.secrets.put(ROW)
    later = msgspec.structs.replace(ROW, sealed=b"other", created_us=9, changed_us=9)
    kept = state.secrets.put(later)
    assert (kept.generation, kept.created_us, kept.changed_us) == (2, 5, 9)
    assert state.secrets.get("org_1", "secret", "crm") == kept


def test_organisations_and_spaces_are_apart(state: StateStore) -> None:
    state.secrets.put(ROW)
    for organisation, space in (("org_2", "secret"), ("org_1", "grant")):
        other = msgspec.structs.replace(ROW, organisation=organisation, space=space)
        assert state.secrets.get(organisation, space, "crm") is None
        assert state.secrets.list(organisation, space) == ()
        assert not state.secrets.delete(organisation, space, "crm")
        state.secrets.put(other)
    assert state.secrets.delete("org_1", "secret", "crm")
    assert state.secrets.get("org_2", "secret", "crm") is not None
    assert state.secrets.get("org_1", "grant", "crm") is not None


def test_listing_goes_on_after_a_name(state: StateStore) -> None:
    for name in ("c", "a", "b"):
        state.secrets.put(msgspec.structs.replace(ROW, name=name))
    listed = state.secrets.list("org_1", "secret", after="a", limit=1)
    assert [row.name for row in listed] == ["b"]
    assert [row.name for row in state.secrets.list("org_1", "secret")] == ["a", "b", "c"]


def test_rewriting_is_all_or_nothing(state: StateStore) -> None:
    for name in ("a", "b"):
        state.secrets.put(msgspec.structs.replace(ROW, name=name))

    def fails_second(row: SecretRow) -> SecretRow:
        if row.name == "b":
            raise ValueError("no")
        return msgspec.structs.replace(row, key="k2", wrapped=b"new")

    with pytest.raises(ValueError, match="no"):
        state.secrets.rewrite(fails_second)
    assert {row.key for row in state.secrets.list("org_1", "secret")} == {"k1"}
    changed = state.secrets.rewrite(lambda row: msgspec.structs.replace(row, key="k2"))
    assert changed == 2
    assert {row.key for row in state.secrets.list("org_1", "secret")} == {"k2"}
