"""A credential that an agent works with is nowhere in its sandbox, and goes nowhere else.

A whole plane, a host on loopback that repeats what it is sent, and programs that ask it.
"""

import gzip
import json
import os
import ssl
import threading
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
import trustme
from tests.sandbox import jail
from tests.sandbox.conftest import need
from tests.sandbox.jail import PYTHON
from tests.sandbox.whole import AGENT, User, WholePlane, config, ordinary

from ringfence.domain.agent import SandboxTier

VALUE = f"sk-canary-{os.urandom(9).hex()}/Q+="
PROGRAM = (Path(__file__).parent / "programs" / "credentials.py").read_text(encoding="utf-8")
_TIERS = ("strict", "reduced")
_MORE = """\
    hosts: ["localhost:{port}", "localhost:{other}"]
    secrets: [crm, git]
"""
_SECRETS = """\
egress: {{networks: [127.0.0.0/8], authority: authority.pem}}
secrets:
  crm:
    stored: true
    placeholder: CRM_TOKEN
    bind: {{host: localhost, port: {port}, path: /show, methods: [GET], as: bearer}}
  git:
    file: git-token
    bind: {{host: localhost, port: {port}, path: /repo.git, as: {{basic: x-access-token}}}}
"""


@dataclass
class Host:
    """Repeats the credential that it was sent, in the form that the path names."""

    authority: trustme.CA
    seen: list[tuple[str, str, dict[str, str]]] = field(default_factory=list)
    server: ThreadingHTTPServer | None = None

    def open(self) -> int:
        host = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                headers = {name.lower(): value for name, value in self.headers.items()}
                host.seen.append((self.command, self.path, headers))
                self.rfile.read(int(headers.get("content-length", "0")))
                show(self, headers.get("authorization", "none"))

            def log_message(self, *_: object) -> None:
                pass

        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert("localhost").configure_cert(context)
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return int(self.server.server_address[1])

    def close(self) -> None:
        if self.server is not None:
            self.server.shutdown()
            self.server.server_close()

    def credentials(self) -> list[str]:
        return [headers.get("authorization", "none") for _, _, headers in self.seen]


def show(handler: BaseHTTPRequestHandler, sent: str) -> None:
    """Answer with what was sent, in some form."""
    form = handler.path.partition("?")[0].rpartition("/")[2]
    step = 1 if form == "drip" else 65_536
    status, headers, body = answer(form, sent)
    handler.send_response(status)
    for name, value in {**headers, "content-length": str(len(body))}.items():
        handler.send_header(name, value)
    handler.end_headers()
    for at in range(0, len(body), step):
        handler.wfile.write(body[at : at + step])
        handler.wfile.flush()
        time.sleep(0.001)


def answer(form: str, sent: str) -> tuple[int, dict[str, str], bytes]:
    body = sent.encode()
    if form == "refs":
        return refs(sent)
    headers = {
        "gzip": {"content-encoding": "gzip"},
        "header": {"x-echo": sent},
        "redirect": {"location": f"https://evil.test/?{quote(sent)}"},
        "cookie": {"set-cookie": "session=of-the-account"},
    }
    bodies = {
        "base64": b64encode(b"a" + body),
        "hex": body.hex().encode(),
        "url": quote(sent, safe="").encode(),
        "json": json.dumps({"sent": sent}).replace("/", "\\/").encode(),
        "gzip": gzip.compress(body),
        "header": b"",
    }
    status = 302 if form == "redirect" else 200
    return status, headers.get(form, {}), bodies.get(form, body)


def refs(sent: str) -> tuple[int, dict[str, str], bytes]:
    """What git asks for first: without a credential it is told to send one."""
    if sent == "none":
        return 401, {"www-authenticate": "Basic"}, b""
    line = b"%b refs/heads/main\0agent=test\n" % (b"1" * 40)
    first = b"# service=git-upload-pack\n"
    body = b"%04x%b0000%04x%b0000" % (len(first) + 4, first, len(line) + 4, line)
    return 200, {"content-type": "application/x-git-upload-pack-advertisement"}, body


@dataclass
class Place:
    plane: WholePlane
    host: Host
    other: Host
    port: int
    other_port: int


@pytest.fixture(scope="module", params=jail.USERS)
def place(request: pytest.FixtureRequest) -> Iterator[Place]:
    """The plane and the agents of one user, who need not be root."""
    with jail.place(request.param) as folder:
        yield from placed(folder, ordinary() if request.param == "ordinary" else None)


def placed(folder: Path, user: User | None) -> Iterator[Place]:
    authority = trustme.CA()
    host, other = Host(authority), Host(authority)
    port, other_port = host.open(), other.open()
    more = _MORE.format(port=port, other=other_port)
    agents = [AGENT.format(name=f"a-{tier}", tier=tier) + more for tier in _TIERS]
    text = config(*agents) + _SECRETS.format(port=port)
    (folder / "plane").mkdir()
    plane = WholePlane(folder / "plane", text, user=user)
    authority.cert_pem.write_to_path(plane.folder / "authority.pem")
    token = plane.folder / "git-token"
    token.write_text(VALUE[::-1])
    token.chmod(0o600)
    if user is not None and user.uid is not None:
        os.chown(token, user.uid, -1)
    plane.start()
    stored = plane.ask("secret", "set", "crm", input=VALUE)
    assert stored.returncode == 0, stored.stderr
    yield Place(plane, host, other, port, other_port)
    plane.stop()
    host.close()
    other.close()
    assert VALUE not in plane.log.read_text()


@pytest.fixture(params=_TIERS)
def tier(request: pytest.FixtureRequest) -> str:
    need(SandboxTier(request.param))
    return str(request.param)


def shown(data: bytes, value: str) -> bool:
    """Whether some form of a value is in these bytes."""
    raw = value.encode()
    cores = [b64encode(bytes(at) + raw)[4:-4] for at in range(3)]
    forms = [raw, raw.hex().encode(), quote(value, safe="").encode(), *cores]
    forms.append(json.dumps(value)[1:-1].replace("/", "\\/").encode())
    return any(form in data for form in forms)


def trace(plane: WholePlane) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(plane.ask("trace", "show", "--last", "--json").stdout)
    return found


def test_no_program_sees_a_credential_or_sends_another(place: Place, tier: str) -> None:
    place.host.seen.clear()
    place.other.seen.clear()
    words = (str(place.port), str(place.other_port), VALUE.encode()[::-1].hex())
    ran = place.plane.run(PYTHON, "-c", PROGRAM, *words, agent=f"a-{tier}")
    assert ran.code == 0, ran
    lines = [line.split(" ") for line in ran.out.splitlines()]
    answers = {name: bytes.fromhex(data) for name, data in lines if name != "FOUND"}
    assert [bytes.fromhex(data) for name, data in lines if name == "FOUND"] == []
    assert list(answers)[-1] == "end"
    for name, answer in answers.items():
        assert not shown(answer, VALUE), (name, answer)
        assert not shown(answer, f"Bearer {VALUE}"), (name, answer)
    # Ours was added whatever was sent, and nothing else arrived.
    bound = [each for each in place.host.seen if each[1].startswith("/show/")]
    assert {headers["authorization"] for _, _, headers in bound} == {f"Bearer {VALUE}"}
    sent = json.dumps(place.host.seen)
    assert "sk-of-the-attacker" not in sent
    assert "x-http-method-override" not in sent
    assert [path for _, path, _ in place.host.seen if "?" in path] == ["/show/plain?page=2"]
    for name in ("nothing", "placeholder", "own", "session", "base64", "gzip", "drip", "header"):
        assert answers[name].startswith(b"HTTP/1.1 200 "), (name, answers[name])
    assert b"location: https://evil.test/?" in answers["redirect"]
    assert b"set-cookie" not in answers["cookie"]
    for name in ("override", "dots", "encoded"):
        assert not answers[name].startswith(b"HTTP/1.1 200 "), answers[name]
    # What stands in its place goes nowhere else.
    for name in ("abroad", "abroad-pair", "abroad-target", "abroad-body"):
        assert answers[name].startswith(b"HTTP/1.1 403 "), (name, answers[name])
    assert answers["other"].startswith(b"HTTP/1.1 200 ")
    assert place.other.credentials() == ["none"]
    found = trace(place.plane)
    notes = [each["what"] for each in found["notes"]]
    assert notes.count("finding.secret_misplaced") == 4
    assert "finding.secret_shown" in notes
    record = place.plane.ask("audit", "export").stdout
    assert not shown(record.encode(), VALUE)
    assert '"secrets":["crm"]' in record.replace(" ", "")


def test_git_and_curl_work_without_ever_having_it(place: Place, tier: str) -> None:
    place.host.seen.clear()
    url = f"https://localhost:{place.port}/repo.git"
    script = (
        "export no_proxy= NO_PROXY=; "
        f"git ls-remote {url} 2>&1; curl -sS https://localhost:{place.port}/show/plain"
    )
    ran = place.plane.run("bash", "-c", script, agent=f"a-{tier}")
    assert "refs/heads/main" in ran.out, ran
    assert not shown((ran.out + ran.err).encode(), VALUE)
    assert not shown((ran.out + ran.err).encode(), VALUE[::-1])
    by_path = {path: headers["authorization"] for _, path, headers in place.host.seen}
    kind, _, pair = by_path["/repo.git/info/refs?service=git-upload-pack"].partition(" ")
    assert (kind, b64decode(pair).decode()) == ("Basic", f"x-access-token:{VALUE[::-1]}")
    assert by_path["/show/plain"] == f"Bearer {VALUE}"


def test_two_sandboxes_hold_different_placeholders(place: Place, tier: str) -> None:
    script = "echo $CRM_TOKEN; echo ${CRM_TOKEN:0:3}"
    first, second = (place.plane.run("bash", "-c", script, agent=f"a-{tier}").out for _ in "12")
    assert first != second
    assert first.splitlines()[1] == second.splitlines()[1] == "sk-"
    assert VALUE not in first + second
