"""What came of a case: the claims that held and those that did not."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True, kw_only=True)
class Report:
    """One case of one journey."""

    journey: str
    case: str
    failures: list[str] = field(default_factory=list)
    figures: dict[str, Any] = field(default_factory=dict)
    seconds: float = 0.0

    def claim(self, holds: bool, otherwise: str) -> None:  # noqa: FBT001 (a claim is a truth value)
        """Note a failure unless the claim holds."""
        if not holds:
            self.failures.append(otherwise)

    def equal(self, what: str, found: object, expected: object) -> None:
        """Claim that a figure is as expected, and keep it."""
        self.figures[what] = found
        self.claim(found == expected, f"{what}: {found!r}, expected {expected!r}")

    def contains(self, what: str, text: str, part: str) -> None:
        """Claim that a text holds a part, however its lines were broken."""
        found = " ".join(part.split()) in " ".join(text.split())
        self.claim(found, f"{what}: no {part!r} in {text[:600]!r}")

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Measure, and turn an exception into a failure."""
        begun = time.monotonic()
        try:
            yield
        except Exception as error:  # noqa: BLE001 (one journey must not end the others)
            self.failures.append(f"{type(error).__name__}: {error}")
        finally:
            self.seconds = round(time.monotonic() - begun, 1)
