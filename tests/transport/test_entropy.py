import re

from ringfence.domain.identifier import Prefix
from ringfence.testing.clock import ManualClock
from ringfence.transport import entropy
from ringfence.transport.clock import SystemClock
from ringfence.transport.entropy import RandomIds, hash_seed, secret


def test_ids_are_unique_across_many_blocks_of_randomness() -> None:
    ids = RandomIds(SystemClock())
    made = [ids.make("act") for _ in range(5000)]
    assert len(set(made)) == 5000


def test_two_makers_share_nothing() -> None:
    clock = SystemClock()
    one, two = RandomIds(clock), RandomIds(clock)
    assert {one.make("act") for _ in range(500)}.isdisjoint(two.make("act") for _ in range(500))


def test_an_id_carries_its_type_and_its_time() -> None:
    prefix: Prefix = "inv"
    made = RandomIds(ManualClock(now_us=1_700_000_000_123_000)).make(prefix)
    assert re.fullmatch(r"inv_[0-9a-f]{32}", made)
    assert int(made[4:16], 16) == 1_700_000_000_123


def test_a_secret_has_its_prefix_and_256_bits() -> None:
    made = {secret("rf_") for _ in range(100)}
    assert len(made) == 100
    assert all(re.fullmatch(r"rf_[A-Za-z0-9_-]{43}", each) for each in made)


def test_seeds_of_hashes_differ_and_are_what_python_takes() -> None:
    seeds = {hash_seed() for _ in range(20)}
    assert len(seeds) > 18
    assert all(0 < int(seed) < 2**32 for seed in seeds)


def test_random_bytes_are_as_many_as_asked_for_and_never_the_same() -> None:
    assert len(entropy.random_bytes(12)) == 12
    assert entropy.random_bytes(32) != entropy.random_bytes(32)


def test_a_choice_takes_every_letter_and_no_other() -> None:
    assert {entropy.choice("abc") for _ in range(500)} == set("abc")
