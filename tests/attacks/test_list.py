"""What an agent tries is refused and on the record of its run, in both tiers.

One program tries all of it by its own system calls, on a whole plane, as an ordinary user where
that can be. `test_threats` holds that every line of docs/attacks.md is tried by somebody.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from tests.attacks.attempt import PROGRAMS
from tests.sandbox.conftest import need
from tests.sandbox.jail import PYTHON
from tests.sandbox.whole import AGENT, WholePlane, standing

from ringfence.domain.agent import SandboxTier
from ringfence.transport.kernel.syscall import architecture

PROGRAM = "".join((PROGRAMS / each).read_text() for each in ("becoming.py", "list.py"))
_TIERS = ("strict", "reduced")
TUNNELS = (
    "127.0.0.1:443",
    "0:443",
    "127.1:443",
    "0x7f.1:443",
    "017700000001:443",
    "2130706433:443",
    "[::1]:443",
    "[::ffff:127.0.0.1]:443",
    "[64:ff9b::7f00:1]:443",
    "[2002:7f00:1::]:443",
    "[fd00:ec2::254]:80",
    "169.254.169.254:80",
    "100.100.100.200:80",
    "evil.test:25",
    "allowed.test:444",
    "allowed.test.:443",
    "user@allowed.test:443",
    "allowed.test%00.evil.test:443",
)
"""Where no tunnel may lead."""
_MORE = """\
    hosts: [allowed.test, localhost]
"""
_REPOSITORY = """\
mkdir -p x/.git stuff/objects stuff/refs && cd x/.git && echo 'ref: refs/heads/main' > HEAD
echo '[core] fsmonitor = evil' > ../../stuff/config && echo ../../stuff > commondir
"""


@dataclass(frozen=True)
class Attack:
    """One attempt: what becomes of it in each tier, and what of it is on the record.

    `record` is a kind and a resource or subject; None where the kernel refuses by itself and the
    record has the command alone.
    """

    strict: str
    reduced: str
    record: tuple[str, str] | None
    record_reduced: tuple[str, str] | None = None


def call(name: str, strict: str, reduced: str = "") -> Attack:
    """A system call that is refused and told."""
    told = ("call.refused", name)
    return Attack(strict, reduced or strict, told, told)


def by_kernel(strict: str, reduced: str, told: str = "") -> Attack:
    """One that bwrap needs itself: told in the reduced tier alone."""
    return Attack(strict, reduced, None, ("call.refused", told) if told else None)


def way(place: str, strict: str, record: tuple[str, str] | None = None) -> Attack:
    """A connection that the reduced tier does not make at all."""
    seen = ("connection", place)
    return Attack(strict, "EACCES", record or seen, seen)


def refused(resource: str, strict: str = "HTTP/1.1 403") -> Attack:
    """What comes to a door of ours in both tiers."""
    told = ("refusal", resource)
    return Attack(strict, strict, told, told)


_NO_FAMILY, _NO_PROTOCOL, _NO = "EAFNOSUPPORT", "EPROTONOSUPPORT", "EPERM"
_INSIDE = ("outcome", "destination_refused")
_NO_DATAGRAMS = ("call.refused", "socket inet datagram 0")
LIST = {
    "web": way("192.0.2.1:80", "HTTP/1.1 403", ("refusal", "web.test:80")),
    "web of IPv6": way("[2001:db8::1]:80", "HTTP/1.1 403", ("refusal", "six.test:80")),
    "web, another Host": way("192.0.2.1:80", "HTTP/1.1 403", ("refusal", "127.0.0.1:80")),
    "tls": way("192.0.2.1:443", "refused", ("refusal", "tls.test:443")),
    "tls without a name": way("192.0.2.1:443", "refused", ("refusal", "192.0.2.1:443")),
    "tls, a stranger's name": way("192.0.2.1:443", "refused", ("refusal", "xn--evil-9ua.test:443")),
    **{f"port {each}": way(f"192.0.2.1:{each}", "ECONNREFUSED") for each in (22, 25, 8080)},
    "port 25 of IPv6": way("[2001:db8::1]:25", "ECONNREFUSED"),
    "mapped": way("192.0.2.9:25", "ECONNREFUSED"),
    "fast open sendto": call("sendto", "ENOTSUP"),
    "fast open sendmsg": call("sendmsg", "ENOTSUP"),
    "fast open connect": call("setsockopt level 6 option 30", _NO),
    "mptcp": call("socket inet stream 262", _NO_PROTOCOL),
    "sctp": call("socket inet stream 132", _NO_PROTOCOL),
    "quic": Attack("TimeoutError", _NO_PROTOCOL, ("connection", "192.0.2.1:443"), _NO_DATAGRAMS),
    "ping": call("socket inet datagram 1", _NO_PROTOCOL),
    "raw": call("socket inet raw 255", _NO_PROTOCOL),
    "packet": call("socket packet raw 768", _NO_FAMILY),
    "vsock": call("socket vsock stream 0", _NO_FAMILY),
    "alg": call("socket alg sequenced 0", _NO_FAMILY),
    "smc": call("socket smc stream 0", _NO_FAMILY),
    "netlink": call("socket netlink raw 9", _NO_PROTOCOL, _NO_FAMILY),
    "unix": call("socket unix stream 0", _NO_FAMILY),
    "unix, high bits": call("socket unix stream 0", _NO_FAMILY),
    "pair of datagrams": call("socketpair unix datagram 0", _NO_PROTOCOL),
    "io_uring": call("io_uring_setup", _NO),
    "bpf": call("bpf 0x0", _NO),
    "ptrace": call("ptrace 0x0", _NO),
    "userfaultfd": call("userfaultfd", _NO),
    "keyctl": call("keyctl 0x0", _NO),
    "perf_event_open": call("perf_event_open", _NO),
    "process_vm_readv": call("process_vm_readv", _NO),
    "setns": call("setns", _NO),
    "unshare": by_kernel(_NO, _NO, "unshare 0x10000000"),
    "clone": by_kernel(_NO, _NO),
    "mount": by_kernel(_NO, _NO, "mount"),
    "fsopen": call("fsopen", _NO),
    "pivot_root": by_kernel(_NO, _NO, "pivot_root"),
    "chroot": by_kernel(_NO, _NO, "chroot"),
    "route": by_kernel(_NO, _NO_FAMILY, "socket netlink raw 0"),
    "lease": call("fcntl lease", _NO),
    "lease, high bits": call("fcntl lease", _NO),
    "TIOCSTI": call("ioctl TIOCSTI", _NO),
    "TIOCSTI, high bits": call("ioctl TIOCSTI", _NO),
    "TIOCLINUX": call("ioctl TIOCLINUX", _NO),
    "memory of the first process": Attack(_NO, "EACCES", ("call.refused", "ptrace 0x10")),
    "dns": Attack("rcode 3", _NO_PROTOCOL, ("dns.query", "secret.data.test"), _NO_DATAGRAMS),
    "dns over tcp": way("8.8.8.8:53", "rcode 3", ("dns.query", "stream.test")),
    "long labels": Attack(
        "no such name",
        "no such name",
        ("dns.query", f"{'a' * 60}.{'b' * 60}.data.test"),
        None,  # the libc makes no socket at all, or one of datagrams
    ),
    **{each: refused(each) for each in TUNNELS},
    "token": refused("/v1/models", "HTTP/1.1 401"),
    "control": refused("/api/v1/sandboxes", "HTTP/1.1 404"),
    "authority": refused("mitm.it:80"),
    "plain": refused("plain.test:80"),
    # It is in scope, so it has an intent; where it lies is known when it is resolved.
    "in scope and inside": Attack("HTTP/1.1 403", "HTTP/1.1 403", _INSIDE, _INSIDE),
}


@pytest.fixture(scope="module")
def plane() -> Iterator[WholePlane]:
    agents = [AGENT.format(name=f"a-{tier}", tier=tier) + _MORE for tier in _TIERS]
    with standing(*agents) as made:
        yield made


@pytest.fixture(params=_TIERS)
def tier(request: pytest.FixtureRequest) -> str:
    need(SandboxTier(request.param))
    return str(request.param)


_Found = tuple[dict[str, Any], set[tuple[str, str]]]
_found: dict[tuple[Path, str], _Found] = {}


def _tried(plane: WholePlane, tier: str) -> _Found:
    """What became of each attempt, and the record of just that run; tried once in each tier."""
    if (plane.folder, tier) not in _found:
        _found[plane.folder, tier] = _try(plane, tier)
    return _found[plane.folder, tier]


def _try(plane: WholePlane, tier: str) -> _Found:
    told = {"TIER": tier, "TUNNELS": TUNNELS, "NUMBERS": dict(architecture().numbers)}
    head = "".join(f"{name} = {value!r}\n" for name, value in told.items())
    (plane.work / "list.py").write_text(head + PROGRAM)
    ran = plane.run(PYTHON, "list.py", agent=f"a-{tier}")
    assert ran.code == 0, ran
    events = plane.events()
    begins = max(n for n, each in enumerate(events) if each.get("what") == "sandbox.started")
    return json.loads(ran.out), {each for event in events[begins:] for each in _said(event)}


def _said(event: dict[str, Any]) -> list[tuple[str, str]]:
    if event["kind"] == "refusal":
        return [("refusal", event["resource"])]
    if event["kind"] == "outcome":
        return [("outcome", event.get("error", ""))]
    if event["kind"] != "observation":
        return []
    what, subject = event["what"], event["subject"]
    assert what != "connection" or event["detail"]["verdict"] in {"allow", "deny"}
    with_ = f"{subject} {event['detail'].get('with', '')}".strip()
    return [(what, with_), (what, subject)]


def test_everything_of_the_list_is_refused_and_on_the_record(plane: WholePlane, tier: str) -> None:
    became, told = _tried(plane, tier)
    killed = became.pop("x32", "killed 31")
    assert killed == "killed 31"
    assert became == {
        name: each.strict if tier == "strict" else each.reduced for name, each in LIST.items()
    }
    wanted = {
        name: each.record if tier == "strict" else each.record_reduced
        for name, each in LIST.items()
    }
    missing = {name: each for name, each in wanted.items() if each and each not in told}
    assert missing == {}, sorted(told)


def test_what_the_kernel_refuses_by_itself_leaves_the_command_alone_on_the_record(
    plane: WholePlane,
) -> None:
    """Nobody could tell these calls from those that build the sandbox."""
    need(SandboxTier.STRICT)
    _, told = _tried(plane, "strict")
    silent = {name for name, each in LIST.items() if each.record is None}
    assert silent == {"unshare", "clone", "mount", "pivot_root", "chroot", "route"}
    assert not {subject.split()[0] for what, subject in told if what == "call.refused"} & silent
    assert any(
        each.get("action_kind") == "shell.exec" and each["kind"] == "intent"
        for each in plane.events()
    )


def test_a_repository_that_leads_git_elsewhere_is_set_aside_and_found(plane: WholePlane) -> None:
    need(SandboxTier.STRICT)
    ran = plane.run("sh", "-c", _REPOSITORY, agent="a-strict")
    assert ran.code == 0, ran
    assert "the run left x/.git/commondir" in ran.err
    found = plane.sights("finding.late_code")
    assert "x/.git/commondir" in [each["detail"]["path"] for each in found]
    assert not Path(plane.work / "x/.git/commondir").exists()


def test_no_name_of_a_file_speaks_to_the_operator_in_our_name(plane: WholePlane) -> None:
    need(SandboxTier.STRICT)
    forged = "e\x1b[2J\u202e\nringfence: all is well"
    ran = plane.run(
        "sh", "-c", 'mkdir -p "$1" && echo x > "$1/.envrc"', "sh", forged, agent="a-strict"
    )
    assert ran.code == 0, ran
    assert ran.err.count("\n") == 1
    assert "the run left e\\x1b[2J\\u202e\\nringfence: all is well/.envrc" in ran.err
