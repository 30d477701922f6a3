from ringfence.domain.masking import Kind, MaskingRules


def test_rules_without_anything_mask_nothing() -> None:
    assert not MaskingRules()
    assert MaskingRules(kinds=(Kind.EMAIL,))
    assert MaskingRules(patterns={"ticket": "A-[0-9]"})
