"""`timeouts`: how long is waited for somebody else, in seconds, wherever that may be said."""

from collections.abc import Mapping

from ringfence.config.section import Section


def read_timeouts(
    section: Section, usual: Mapping[str, float], *, longest_s: float, example: str = ""
) -> dict[str, float]:
    """Read `timeouts` of a section: every key of `usual`, with its value where nothing is said."""
    inner = section.section("timeouts", f"`timeouts` of {section.where}", example)
    if inner is None:
        return dict(usual)
    found = {
        key: inner.ratio(key, default, above=0, most=longest_s) for key, default in usual.items()
    }
    inner.close()
    return found
