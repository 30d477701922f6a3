from ringfence.protocols.mcp.version import LATEST, LATEST_LEGACY, LEGACY, Era, era_of, negotiated


def test_a_revision_that_is_not_known_is_taken_for_a_newer_one() -> None:
    assert {era_of(each) for each in LEGACY} == {Era.LEGACY}
    assert era_of(LATEST) is Era.MODERN
    assert era_of("2031-01-01") is Era.MODERN


def test_a_handshake_settles_on_what_both_speak() -> None:
    assert negotiated("2025-03-26") == "2025-03-26"
    assert negotiated("1999-01-01") == LATEST_LEGACY
