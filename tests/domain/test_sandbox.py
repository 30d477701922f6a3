import pytest

from ringfence.domain.agent import SandboxTier
from ringfence.domain.sandbox import TIER_ORDER, at_least, is_sandbox


@pytest.mark.parametrize("tier", SandboxTier)
def test_every_tier_has_its_place_and_suffices_for_itself(tier: SandboxTier) -> None:
    assert TIER_ORDER.count(tier) == 1
    assert at_least(tier, tier)


def test_a_weaker_tier_never_suffices_for_a_stronger_one() -> None:
    assert at_least(SandboxTier.STRICT, SandboxTier.REDUCED)
    assert not at_least(SandboxTier.REDUCED, SandboxTier.STRICT)
    assert not at_least(SandboxTier.NONE, SandboxTier.REDUCED)


def test_the_credential_of_a_sandbox_is_known_by_its_id() -> None:
    assert is_sandbox("sbx_0190")
    assert not is_sandbox("crd_0190")
