"""The cases, and which journeys do them."""

from tests.journeys.journey import Journey

CASES = ("talk", "between", "midstream", "behalf", "loop")
DIRECT = ("talk", "between", "midstream")
"""Those that need no plane."""


def does(journey: Journey, case: str) -> bool:
    """Whether a client can do a case."""
    match case:
        case "behalf":
            return journey.sends_headers
        case "loop":
            return journey.has_own_loop
        case _:
            return True
