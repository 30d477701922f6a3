"""The clock: against what was written before, and against what providers say."""

import http.client
import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from urllib.parse import SplitResult, urlsplit

from ringfence.cli.doctor.finding import Finding
from ringfence.domain.organisation import Configuration
from ringfence.transport.clock import SystemClock
from ringfence.transport.tls import client_context

_EARLIEST_US = 1_767_225_600_000_000  # 2026-01-01, before which this program was not written
_DRIFT_US = 60_000_000
_SKEW_S = 30.0
"""Signed tokens of users are believed within a minute; windows of budgets begin at midnight."""
_ANSWER_S = 5.0


def clock_and_folder(folder: Path) -> Finding:
    """Whether the clock stands after the last write."""
    now_us = SystemClock().now_us()
    written = [path.stat().st_mtime_ns // 1000 for path in folder.glob("*.db*")]
    if now_us < _EARLIEST_US:
        return Finding("bad", "the clock is years behind", "set it: budgets and records need it")
    if written and max(written) > now_us + _DRIFT_US:
        what = "the clock stands before the last write to the data folder"
        return Finding("bad", what, "set it: windows of budgets would start again")
    return Finding("ok", "the clock agrees with the data folder")


def clock_and_providers(configuration: Configuration) -> Iterator[Finding]:
    """How far the clock is from that of each provider that tells the time (RFC 9110, `Date`)."""
    urls = {
        provider.base_url: provider.name
        for organisation in configuration.organisations.values()
        for provider in organisation.providers.values()
    }
    for url, name in urls.items():
        skew_s = _skew_s(urlsplit(url))
        if skew_s is None:
            continue
        what = f"the clock is {abs(skew_s):.0f} s {'ahead of' if skew_s > 0 else 'behind'} `{name}`"
        if abs(skew_s) > _SKEW_S:
            yield Finding("bad", what, "set it: tokens expire and budgets start again by it")
        else:
            yield Finding("ok", f"the clock agrees with `{name}`")


def _skew_s(url: SplitResult) -> float | None:
    """Seconds that our clock is ahead; None if nothing is said."""
    host, port = url.hostname or "", url.port
    connection: http.client.HTTPConnection
    if url.scheme == "https":
        context: ssl.SSLContext = client_context()
        connection = http.client.HTTPSConnection(host, port, timeout=_ANSWER_S, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=_ANSWER_S)
    try:
        connection.request("HEAD", url.path or "/")
        said = connection.getresponse().getheader("date") or ""
        theirs = parsedate_to_datetime(said)
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    ours = datetime.fromtimestamp(SystemClock().now_us() / 1_000_000, UTC)
    return (ours - theirs.astimezone(UTC)).total_seconds()
