"""One part of a run dies or stops at a moment chosen at random; the agent gains nothing.

A few moments in each run of the tests, each time others; `dying` tries for as long as one wants.
"""

import time
from collections.abc import Iterator

import pytest
from tests.attacks.dying import PARTS, World, world
from tests.sandbox.conftest import need

from ringfence.domain.agent import SandboxTier


@pytest.fixture(scope="module")
def tried() -> Iterator[World]:
    need(SandboxTier.STRICT)
    need(SandboxTier.REDUCED)
    with world(time.time_ns()) as made:
        yield made
        assert made.verified()


@pytest.mark.parametrize(
    ("tier", "way"), [("strict", "kill"), ("reduced", "kill"), ("strict", "stop")]
)
def test_nothing_is_gained_by_the_end_of_a_part(tried: World, tier: str, way: str) -> None:
    part = tried.chance.choice(PARTS)
    found = tried.round(tier, part, way, tried.chance.uniform(0, 0.7))
    assert found.broken() == [], found
