"""What is tried on the way to an allowed host: nothing but what was meant arrives there.

One program does it by its own sockets, on a whole plane with two workers, in both tiers. Each
attempt has the answer that it must get and what of it is on the record of the run.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.attacks.upstream import Upstream, upstream
from tests.sandbox import jail
from tests.sandbox.conftest import need
from tests.sandbox.whole import AGENT, WholePlane, config, ordinary

from ringfence.domain.agent import SandboxTier

PROGRAM = (Path(__file__).parent / "programs" / "egress.py").read_text(encoding="utf-8")
_TIERS = ("strict", "reduced")
_EGRESS = "egress: {networks: [127.0.0.0/8], authority: authority.pem}\n"
_MALFORMED, _REFUSED = "400 request_malformed", "403 destination_refused"
_URL = "Unexpected char in url server"
EXPECTED = {
    "allowed": ("200", ""),
    # What is valid passes however slowly it comes; a hidden name is of no use to anybody here.
    "one byte at a time": ("answered", ""),
    "hidden name": ("answered", ""),
    "two names": ("alert", "it says something twice"),
    "another name": ("alert", "another"),
    "name with nul": ("alert", "not a name"),
    "name beyond ascii": ("alert", "not in ASCII"),
    "idn": (_MALFORMED, _URL),
    "mixed scripts": (_MALFORMED, _URL),
    "fullwidth dot": (_MALFORMED, _URL),
    "fullwidth letters": (_MALFORMED, _URL),
    "soft hyphen": (_MALFORMED, _URL),
    "a-label": ("403 out_of_scope", "has no host `xn--bcher-kva.test:443`"),
    "http2 to the proxy": ("505 request_malformed", "tell the client to use that"),
    "http2 to the gateway": ("505", "tell the client to use that"),
    "http2 in a tunnel": ("505 request_malformed", "tell the client to use that"),
    "http2 by alpn": ("none", ""),
    "http2 or 1 by alpn": ("http/1.1", ""),
    "h2c": ("403 request_malformed", "without `Upgrade`"),
    "another upgrade": ("403 request_malformed", "without `Upgrade`"),
    "trace": (_REFUSED, "TRACE is never passed on"),
    "connect in a tunnel": ("403 request_malformed", "CONNECT is for proxies"),
    "absolute form in a tunnel": (_MALFORMED, "the request target must be a path"),
    "another host in a tunnel": (_REFUSED, "its Host is another"),
    "second host": (_REFUSED, "its Host is another"),
    "two hosts": (_MALFORMED, "exactly one Host"),
    "two lengths": (_MALFORMED, "Duplicate Content-Length"),
    "length and chunks": (_MALFORMED, "can't be present with Content-Length"),
    "chunks with a tail": (_MALFORMED, "Invalid `Transfer-Encoding`"),
    "folded": (_MALFORMED, "Unexpected whitespace"),
    "bare line feed": (_MALFORMED, "Missing expected CR"),
    "nul in a header": (_MALFORMED, "Invalid header value char"),
    "path /allowed/../admin": (_MALFORMED, "leads elsewhere"),
    "path /%2e%2e/admin": (_MALFORMED, "leads elsewhere"),
    # No policy reads paths here: then what servers read differently passes as it is.
    "path //admin": ("200", ""),
    "path /a;b": ("200", ""),
    "path /a%2fb": ("200", ""),
    "path /a\\b": (_MALFORMED, "a backslash"),
    "plain to where tls is declared": ("502 provider_unavailable", ""),
    "web socket": ("81026869", ""),
    "no frames in a web socket": ("cut", ""),
    "caught": ("refused", "has no host `localhost:443`"),
    "beside many slow ones": ("200", ""),
    "slow ones": ("many", ""),
}
"""By attempt: what the client gets, and words of the refusal on record; empty where none is due."""
ARRIVED = {
    "GET / HTTP/1.1", "GET //admin HTTP/1.1", "GET /a;b HTTP/1.1", "GET /a%2fb HTTP/1.1",
    "GET /socket HTTP/1.1",
}  # fmt: skip


@dataclass
class Place:
    plane: WholePlane
    host: Upstream


@pytest.fixture(scope="module")
def place() -> Iterator[Place]:
    with jail.place() as folder, upstream() as host:
        more = f'    hosts: ["localhost:{host.port}"]\n'
        agents = [AGENT.format(name=f"a-{tier}", tier=tier) + more for tier in _TIERS]
        text = config(*agents) + _EGRESS
        plane = WholePlane(folder / "plane", text, "--workers", "2", user=ordinary())
        host.authority.cert_pem.write_to_path(plane.folder / "authority.pem")
        plane.start()
        yield Place(plane, host)
        plane.stop()


@pytest.mark.parametrize("tier", _TIERS)
def test_nothing_but_what_was_meant_gets_to_an_allowed_host(place: Place, tier: str) -> None:
    need(SandboxTier(tier))
    place.host.heard.clear()
    head = f"PORT = {place.host.port}\nTIER = {tier!r}\n"
    (place.plane.work / "egress.py").write_text(head + PROGRAM)
    ran = place.plane.run(jail.PYTHON, "egress.py", agent=f"a-{tier}")
    assert ran.code == 0, ran
    became = json.loads(ran.out)
    wanted = {name: each for name, each in EXPECTED.items() if name in became}
    assert set(EXPECTED) - set(wanted) <= {"caught"}  # in reduced nothing is caught
    assert became == {name: answer for name, (answer, _) in wanted.items()}
    assert {line.decode() for line in place.host.heads()} == ARRIVED
    told = _refusals(place.plane)
    missing = {name: words for name, (_, words) in wanted.items() if not _is_told(words, told)}
    assert missing == {}, told


def _is_told(words: str, told: list[str]) -> bool:
    return any(words in each for each in told) or not words


def _refusals(plane: WholePlane) -> list[str]:
    """The messages of what the last run was refused."""
    events = plane.events()
    run = _last_run(events)
    found = [each for each in events if each["kind"] == "refusal" and each.get("sandbox") == run]
    return [each["decision"]["message"] for each in found]


def _last_run(events: list[dict[str, Any]]) -> str:
    return str([each for each in events if each.get("what") == "sandbox.started"][-1]["sandbox"])
