"""A host with TLS on loopback that answers nothing without a credential, for programs to ask."""

import base64
import contextlib
import hashlib
import http.server
import io
import json
import os
import shutil
import ssl
import subprocess
import tarfile
import threading
import zipfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import trustme

CANARY: Final = "sk-canary-journey-5f1e09"
HOST: Final = "allowed.test"
ADDRESS: Final = "127.0.0.9"


@dataclass
class Host:
    """What the host has, and what it was asked."""

    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and authorisation of each request."""


def furnish(host: Host, folder: Path, url: str) -> None:
    """A file, a repository, a package for pip, one for npm and one for cargo."""
    host.files["/item"] = ("text/plain", b"an item")
    bare = _repository(folder)
    for path in bare.rglob("*"):
        if path.is_file():
            name = f"/repo.git/{path.relative_to(bare)}"
            host.files[name] = ("application/octet-stream", path.read_bytes())
    wheel = _wheel()
    host.files["/simple/demo/"] = (
        "text/html",
        b'<a href="/files/demo-1.0-py3-none-any.whl">demo-1.0-py3-none-any.whl</a>',
    )
    host.files["/files/demo-1.0-py3-none-any.whl"] = ("application/octet-stream", wheel)
    packed = _npm_package()
    integrity = "sha512-" + base64.b64encode(hashlib.sha512(packed).digest()).decode()
    version = {
        "name": "demo",
        "version": "1.0.0",
        "dist": {"tarball": f"{url}/npm/demo/-/demo-1.0.0.tgz", "integrity": integrity},
    }
    document = {"name": "demo", "dist-tags": {"latest": "1.0.0"}, "versions": {"1.0.0": version}}
    host.files["/npm/demo"] = ("application/json", json.dumps(document).encode())
    host.files["/npm/demo/-/demo-1.0.0.tgz"] = ("application/octet-stream", packed)
    crate = _crate()
    known = {
        "name": "demo",
        "vers": "1.0.0",
        "deps": [],
        "cksum": hashlib.sha256(crate).hexdigest(),
        "features": {},
        "yanked": False,
    }
    where = {"dl": f"{url}/cargo/{{crate}}-{{version}}.crate"}
    host.files["/cargo/config.json"] = ("application/json", json.dumps(where).encode())
    host.files["/cargo/de/mo/demo"] = ("text/plain", json.dumps(known).encode() + b"\n")
    host.files["/cargo/demo-1.0.0.crate"] = ("application/octet-stream", crate)


def _repository(folder: Path) -> Path:
    work, bare = folder / "work", folder / "repo.git"
    work.mkdir()
    (work / "README").write_text("cloned over https\n")
    own = {"GIT_CONFIG_GLOBAL": "/dev/null", "HOME": str(folder), "PATH": os.environ["PATH"]}
    who = ["-c", "user.name=a", "-c", "user.email=a@b.example"]
    git = shutil.which("git") or "/usr/bin/git"
    for line in (["init", "-q"], ["add", "."], [*who, "commit", "-qm", "first"]):
        subprocess.run([git, *line], cwd=work, env=own, check=True)
    subprocess.run([git, "clone", "-q", "--bare", str(work), str(bare)], env=own, check=True)
    subprocess.run([git, "update-server-info"], cwd=bare, env=own, check=True)
    return bare


def _wheel() -> bytes:
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as wheel:
        wheel.writestr("demo.py", "")
        about = "Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"
        wheel.writestr("demo-1.0.dist-info/METADATA", about)
        tags = "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n"
        wheel.writestr("demo-1.0.dist-info/WHEEL", tags)
        wheel.writestr("demo-1.0.dist-info/RECORD", "")
    return made.getvalue()


def _npm_package() -> bytes:
    text = json.dumps({"name": "demo", "version": "1.0.0"}).encode()
    return _packed({"package/package.json": text})


def _crate() -> bytes:
    manifest = b'[package]\nname = "demo"\nversion = "1.0.0"\nedition = "2021"\n'
    return _packed({"demo-1.0.0/Cargo.toml": manifest, "demo-1.0.0/src/lib.rs": b"// a crate\n"})


def _packed(files: Mapping[str, bytes]) -> bytes:
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as package:
        for name, content in files.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            package.addfile(entry, io.BytesIO(content))
    return made.getvalue()


@contextlib.contextmanager
def serving(host: Host, authority: trustme.CA) -> Iterator[int]:
    """Serve the host; gives its port, 443 if that may be had."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_HEAD(self) -> None:
            self._answer(with_body=False)

        def do_GET(self) -> None:
            self._answer(with_body=True)

        def _answer(self, *, with_body: bool) -> None:
            said = self.headers.get("authorization", "")
            path = self.path.partition("?")[0]
            host.asked.append((path, said))
            kind, body = host.files.get(path, ("", b""))
            status = 401 if said != f"Bearer {CANARY}" else 200 if kind else 404
            self.send_response(status)
            self.send_header("content-type", kind or "text/plain")
            self.send_header("content-length", str(len(body) if status == 200 else 0))
            self.end_headers()
            if status == 200 and with_body:
                self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Says nothing."""

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(HOST).configure_cert(context)
    try:
        server = http.server.ThreadingHTTPServer((ADDRESS, 443), Handler)
    except PermissionError:
        server = http.server.ThreadingHTTPServer((ADDRESS, 0), Handler)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield int(server.server_address[1])
    finally:
        server.shutdown()
        server.server_close()
