"""Sandboxes are tested where the machine can make them; in CI, not being able to is a failure."""

import functools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from tests.sandbox import jail

from ringfence.domain.agent import SandboxTier

_ABSENT = "no sandbox on this machine"
TIERS = (SandboxTier.STRICT, SandboxTier.REDUCED)


@functools.cache
def _missing(tier: SandboxTier) -> str:
    return jail.missing(tier)


def need(tier: SandboxTier) -> None:
    """Skip, or fail where it is demanded, if a tier cannot be had."""
    reason = _missing(tier)
    if reason and os.environ.get(jail.DEMANDED):
        pytest.fail(reason)
    if reason:
        pytest.skip(f"{_ABSENT}: {reason}")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say loudly what was not tested."""
    skipped = " ".join(str(report.longrepr) for report in terminalreporter.stats.get("skipped", ()))
    if _ABSENT in skipped:
        for tier in TIERS:
            reason = _missing(tier)
            if reason:
                terminalreporter.write_sep("!", f"NOT tested in {tier}: {reason}", yellow=True)


@pytest.fixture(params=jail.USERS)
def who(request: pytest.FixtureRequest) -> str:
    """Each user that may start a sandbox."""
    return str(request.param)


@pytest.fixture(params=TIERS)
def tier(request: pytest.FixtureRequest) -> SandboxTier:
    """Each tier that confines."""
    found: SandboxTier = request.param
    need(found)
    return found


@pytest.fixture
def strict_tier() -> SandboxTier:
    """The strict tier alone."""
    need(SandboxTier.STRICT)
    return SandboxTier.STRICT


@pytest.fixture
def reduced_tier() -> SandboxTier:
    """The reduced tier alone."""
    need(SandboxTier.REDUCED)
    return SandboxTier.REDUCED


@pytest.fixture
def root(request: pytest.FixtureRequest) -> Iterator[Path]:
    """A folder of the user who starts the sandbox."""
    who = request.getfixturevalue("who") if "who" in request.fixturenames else "ordinary"
    with jail.place(who) as made:
        yield made
