"""`egress` in the configuration."""

from collections.abc import Callable
from pathlib import Path

import pytest

from ringfence.config.loading import Loaded
from ringfence.domain.egress import EgressRules

TEXT = """\
format: 1
organisation: acme
egress: %s
"""


def test_everything_is_read(load_text: Callable[..., Loaded], tmp_path: Path) -> None:
    authority = tmp_path / "inside.pem"
    authority.write_text("")
    text = TEXT % (
        "{networks: [10.1.0.0/16, 'fd12:3456::/48'], addresses: {CRM.Internal: 10.1.0.7},"
        f" authority: {authority}, uninspected: ['pinned.example', '*.bank.example:8443'],"
        " kept_bytes: 1024, approval_seconds: 5, timeouts: {connect: 1, idle: 2, total: 3.5}}"
    )
    loaded = load_text(text)
    assert loaded.configuration.organisations["acme"].egress == EgressRules(
        networks=("10.1.0.0/16", "fd12:3456::/48"),
        addresses={"crm.internal": "10.1.0.7"},
        authority=str(authority),
        uninspected=("pinned.example", "*.bank.example:8443"),
        kept_bytes=1024,
        approval_s=5,
        connect_timeout_s=1.0,
        idle_timeout_s=2.0,
        total_timeout_s=3.5,
    )


def test_nothing_said_is_the_internet_alone(load_text: Callable[..., Loaded]) -> None:
    loaded = load_text("format: 1\norganisation: acme\n")
    assert loaded.configuration.organisations["acme"].egress == EgressRules()


@pytest.mark.parametrize(
    ("rules", "expected"),
    [
        ("{networks: [10.1.0.1/16]}", "is no range of addresses"),
        ("{networks: [inside]}", "is no range of addresses"),
        ("{networks: [10.0.0.0/8, 10.0.0.0/8]}", "stands twice"),
        ("{addresses: {crm.example: crm.internal}}", "cannot lead `crm.example`"),
        ("{addresses: {'*.example': 10.0.0.1}}", "cannot lead"),
        ("{authority: missing.pem}", "which is no file"),
        (
            "{uninspected: ['https://x']}",
            "`https://x` in `uninspected` of `egress` is no host pattern",
        ),
        ("{kept_bytes: 99999999}", "cannot be"),
        ("{timeouts: {idle: 0}}", "out of range"),
        ("{timeout: {idle: 1}}", "unknown key `timeout`"),
    ],
)
def test_what_is_wrong_is_said(
    problems_of: Callable[..., list[str]], rules: str, expected: str
) -> None:
    assert any(expected in each for each in problems_of(TEXT % rules))
