import random
from pathlib import Path

from tests.stores.body.conversation import message, request
from tests.stores.body.keeping import keep, messages, rows

from ringfence.stores.body import BodyReader, BodyStore, Part
from ringfence.stores.body.erasure import erase
from ringfence.stores.body.schema import BODIES, shelf_path
from ringfence.stores.compression import Compressor
from ringfence.stores.database import open_writable


def test_what_repeats_is_stored_once(tmp_path: Path) -> None:
    store = BodyStore.open(tmp_path)
    body = request(messages(3))
    for n in range(20):
        keep(store, f"act_{n}", body, talk=f"inv_{n}")
    store.close()
    assert rows(tmp_path, "SELECT count(*) FROM chunks") == [(4,)]
    assert rows(tmp_path, "SELECT count(*) FROM nodes") == [(3,)]
    assert rows(tmp_path, "SELECT count(*) FROM bodies") == [(20,)]
    assert rows(tmp_path, "SELECT count(DISTINCT salt) FROM bodies") == [(20,)]


def test_what_repeats_is_stored_once_after_a_restart_too(tmp_path: Path) -> None:
    history = messages(4)
    for count in (2, 3, 4):
        store = BodyStore.open(tmp_path)
        keep(store, f"act_{count}", request(history[:count]))
        store.close()
    assert rows(tmp_path, "SELECT count(*) FROM chunks") == [(5,)]
    assert rows(tmp_path, "SELECT count(*) FROM nodes") == [(4,)]


def test_a_change_in_the_middle_shares_what_comes_before(tmp_path: Path) -> None:
    store, reader = BodyStore.open(tmp_path), BodyReader(tmp_path)
    history = messages(10)
    changed = [*history[:6], b'{"role":"user","content":"other"}', *history[7:]]
    shifted = request(changed, head=b'{"model":"another","messages":[')
    keep(store, "act_1", request(history))
    keep(store, "act_2", request(changed))
    keep(store, "act_3", shifted)
    store.close()
    assert rows(tmp_path, "SELECT count(*) FROM nodes") == [(14,)]
    assert rows(tmp_path, "SELECT count(*) FROM chunks") == [(13,)]
    assert reader.get("org_a", "act_3", Part.REQUEST) == shifted.whole
    reader.close()


def test_a_conversation_of_100_steps_takes_what_is_new(tmp_path: Path) -> None:
    """Within 1.3 of storing each message once, compressed each for itself or not at all."""
    open_writable(shelf_path(tmp_path, "org_a"), BODIES).close()
    empty = shelf_path(tmp_path, "org_a").stat().st_size
    store = BodyStore.open(tmp_path)
    history: list[bytes] = []
    sent = 0
    dice = random.Random(3)  # noqa: S311 (a test's dice)
    for step in range(100):
        history.append(message(dice, "user", 300))
        body = request(history)
        sent += len(body.whole)
        keep(store, f"act_0199a0000000710080000000000{step:05}", body)
        history.append(message(dice, "assistant", 500))
    store.close()
    stored = shelf_path(tmp_path, "org_a").stat().st_size - empty
    messages, compressor = history[:-1], Compressor(3)
    assert stored < 1.3 * sum(len(compressor.compress(one)) for one in messages)
    assert stored < 0.7 * sum(map(len, messages))
    assert stored < sent / 50


def test_organisations_share_nothing(tmp_path: Path) -> None:
    store = BodyStore.open(tmp_path)
    body = request(messages(3))
    one = keep(store, "act_1", body)
    other = keep(store, "act_1", body, organisation="org_b")
    store.close()
    assert one.address != other.address
    addresses = [
        {address for (address,) in rows(tmp_path, "SELECT address FROM chunks", organisation)}
        for organisation in ("org_a", "org_b")
    ]
    assert len(addresses[0]) == len(addresses[1]) == 4
    assert not addresses[0] & addresses[1]
    assert rows(tmp_path, "SELECT key FROM keys") != rows(tmp_path, "SELECT key FROM keys", "org_b")


def test_pieces_that_another_process_removed_are_stored_again(tmp_path: Path) -> None:
    """What the writer remembers of the file must not outlive an erasure."""
    store, reader = BodyStore.open(tmp_path), BodyReader(tmp_path)
    body = request(messages(3))
    keep(store, "act_1", body)
    assert store.flush()
    assert erase(tmp_path, "org_a", ["act_1"]) == 1
    keep(store, "act_2", body)
    assert store.flush()
    assert reader.get("org_a", "act_1", Part.REQUEST) is None
    assert reader.get("org_a", "act_2", Part.REQUEST) == body.whole
    reader.close()
    store.close()


def test_two_processes_that_write_the_same_store_it_once(tmp_path: Path) -> None:
    stores = [BodyStore.open(tmp_path) for _ in range(2)]
    for step in range(1, 6):
        for number, store in enumerate(stores):
            keep(store, f"act_{step}_{number}", request(messages(step)))
            assert store.flush()
    for store in stores:
        store.close()
    ((pieces, addresses),) = rows(tmp_path, "SELECT count(*), count(DISTINCT address) FROM chunks")
    assert (pieces, addresses) == (6, 6)
    assert rows(tmp_path, "SELECT count(*) FROM nodes") == [(5,)]
