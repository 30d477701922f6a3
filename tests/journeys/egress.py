"""Real programs in a sandbox, and a host with TLS that they reach only through interception.

    python -m tests.journeys.egress [--tier strict|reduced|both] [--only curl,git] [--keep]

Each program is started by `ringfence run` as an ordinary user and asks the same host, on loopback,
which answers nothing without a credential that only the plane has. Claimed of each: it did its
work; the host got the credential each time, and never the placeholder that the program holds; the
credential is in nothing that the program said or left behind; the record has its requests, with the
secret's name; and the same program asked for another host gets nowhere. In the reduced tier nobody
catches a program that knows no proxy: there it must get nowhere at all. Port 443 of loopback is
needed for these in the strict tier; whoever may not have it leaves them out.
"""

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trustme
from tests.journeys.egress_host import ADDRESS, CANARY, HOST, Host, furnish, serving
from tests.journeys.environment import Environment, InstallError, prepare
from tests.journeys.sandboxed_agent import libraries
from tests.sandbox.whole import WholePlane, ordinary

_RUN_S: Final = 180.0
"""Of a busy machine."""
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
_DENO: Final = "const a = await fetch(Deno.args[0]); console.log(a.status, await a.text());"
_CARGO: Final = """rm -rf asks; mkdir -p asks/src; cd asks; echo 'fn main() {}' > src/main.rs
printf '%s\\n' '[package]' 'name = "asks"' 'version = "0.1.0"' 'edition = "2021"' \\
    '[dependencies]' 'demo = {version = "1", registry = "house"}' > Cargo.toml
export CARGO_REGISTRIES_HOUSE_INDEX=sparse+$URL/cargo/
$TOOLS/cargo vendor -q up && cat up/demo/src/lib.rs"""


@dataclass(frozen=True, slots=True)
class Program:
    """One program: a shell line that asks for `$URL`, and what its output must hold."""

    name: str
    line: str
    says: str
    needs: str
    """The file without which it is left out; below the stage, if it is not absolute."""
    knows_proxies: bool = True


def programs() -> Sequence[Program]:
    get = "import sys, {0}; a = {0}.get(sys.argv[1]); print(a.status_code, a.text)"
    python, interpreter = "PYTHONPATH=$LIBRARY python3 -c '{}' $URL/item", "/usr/bin/python3"
    wheel = "demo-1.0-py3-none-any.whl"
    fetch = "fetch(process.argv[1]).then(async a => console.log(a.status, await a.text()))"
    return (
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
            wheel,
            "/usr/lib/python3/dist-packages/pip",
        ),
        Program(
            "uv",
            "rm -rf up; $TOOLS/uv pip install -q --python /usr/bin/python3 --target up"
            " --default-index $URL/simple demo && ls up",
            "demo.py",
            "tools/uv",
        ),
        Program(
            "npm",
            "npm --registry $URL/npm/ --no-audit --no-fund pack demo",
            "demo-1.0.0.tgz",
            "/usr/bin/npm",
        ),
        Program(
            "node fetch",
            f"node -e '{fetch}' $URL/item",
            "200 an item",
            "/usr/bin/node",
            knows_proxies=_node_knows_proxies(),
        ),
        Program(
            "requests", python.format(get.format("requests")), "200 an item", "/usr/bin/python3"
        ),
        Program("httpx", python.format(get.format("httpx")), "200 an item", interpreter),
        Program(
            "deno", "$TOOLS/deno run -q --allow-net get.js $URL/item", "200 an item", "tools/deno"
        ),
        Program("cargo", _CARGO, "a crate", "tools/cargo"),
        Program("java", "java Get.java $URL/item", "200 an item", "/usr/bin/java"),
        Program("go", "$TOOLS/get-go $URL/item", "200 an item", "tools/get-go"),
    )


def _node_knows_proxies() -> bool:
    """Whether this Node's `fetch` obeys `NODE_USE_ENV_PROXY`: from 22.21 and 24 on."""
    try:
        told = subprocess.run(["/usr/bin/node", "--version"], capture_output=True, check=True)
    except OSError:
        return False
    major, minor, *_ = map(int, told.stdout.decode().strip().lstrip("v").split("."))
    return major >= 24 or (major, minor) >= (22, 21)


def configuration(port: int, tier: str, authority: Path, shown: Sequence[Path]) -> str:
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
                    "sandbox": {"tier": tier, "read_only": [str(each) for each in shown]},
                }
            },
            "egress": {"addresses": {HOST: ADDRESS}, "authority": str(authority)},
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


def furnish_tools(tools: Path, binary: Path | None, installed: Environment) -> None:
    """Binaries that programs need, beside the workspace: what is in there is read at each run."""
    uv = shutil.which("uv") or str(Path(sys.prefix) / "bin" / "uv")
    deno = installed.commands / "deno"
    for name, found in (("get-go", binary), ("uv", Path(uv)), ("deno", deno), ("cargo", _cargo())):
        if found is not None and found.exists():
            shutil.copy(found, tools / name)


def _cargo() -> Path | None:
    """The program itself: what rustup puts into the path only leads to it."""
    found = shutil.which("rustup")
    if found is not None:
        told = subprocess.run(
            [found, "which", "cargo"], capture_output=True, text=True, check=False
        )
        return Path(told.stdout.strip()) if told.returncode == 0 else None
    found = shutil.which("cargo")
    return None if found is None else Path(found)


def built(folder: Path, installed: Environment) -> Path | None:
    """A binary of Go that asks for its argument; None without a compiler."""
    compiler = shutil.which("go") or str(installed.commands / "go")
    (folder / "get.go").write_text(_GO)
    own = os.environ | {"GOCACHE": str(folder / "go-cache"), "GOTOOLCHAIN": "local"}
    made = folder / "get-go"
    try:
        command = [compiler, "build", "-o", str(made), str(folder / "get.go")]
        subprocess.run(command, cwd=folder, env=own, check=True)
    except (OSError, subprocess.CalledProcessError) as error:
        print(f"no binary of Go: {error}")
        return None
    return made


# The claims


def play(program: Program, plane: WholePlane, journey: "Journey") -> Sequence[str]:
    """What does not hold of one program."""
    host, url = journey.host, journey.url
    before = len(host.asked)
    library = libraries(journey.installed)
    script = f"export URL={url} TOOLS={plane.folder}/tools LIBRARY={library}; {program.line}"
    is_caught = program.knows_proxies or journey.tier == "strict"
    ran = plane.run("bash", "-c", script, agent="tester")
    said = ran.out + ran.err
    asked = host.asked[before:]
    wrong = []
    if is_caught and (ran.code != 0 or program.says not in said):
        wrong.append(f"exit {ran.code}: {said[-600:]}")
    if is_caught != bool(asked):
        wrong.append("the host was not asked" if is_caught else "the host was asked")
    if any(each != f"Bearer {CANARY}" for _, each in asked):
        wrong.append(f"the host was asked without the credential: {asked}")
    if CANARY in said or _left(plane.work):
        wrong.append("the credential was seen in the sandbox")
    reached = len(host.asked)
    evil = script.replace(url, url.replace(HOST, "evil.test"))
    other = plane.run("bash", "-c", evil, agent="tester")
    if program.says in other.out or len(host.asked) != reached:
        wrong.append("another host was reached")
    return wrong


def _left(workspace: Path) -> bool:
    files = (path for path in workspace.rglob("*") if path.is_file() and not path.is_symlink())
    return any(CANARY.encode() in path.read_bytes() for path in files)


def recorded(plane: WholePlane) -> Sequence[str]:
    """What the record says wrongly of all requests."""
    shown = plane.ask("audit", "query", "--json", "--limit", "100000")
    if CANARY in shown.stdout:
        return ["the credential is in the record"]
    events = json.loads(shown.stdout)
    sent = {each["action"] for each in events if "site" in each.get("secrets", ())}
    meant = {
        each["action"] for each in events if each.get("target", "").startswith(f"https://{HOST}")
    }
    verified = plane.ask("audit", "verify")
    wrong = [] if verified.returncode == 0 else [f"audit verify: {verified.stdout[-300:]}"]
    if not sent or not sent <= meant:
        wrong.append(f"{len(sent)} of {len(meant)} requests are recorded with their secret")
    refused = [each for each in events if "evil.test" in str(each)]
    return wrong if refused else [*wrong, "what was refused is not recorded"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Journey:
    """One tier: which programs ask which host, from which folder."""

    tier: str
    folder: Path
    host: Host
    port: int
    installed: Environment
    binary: Path | None

    @property
    def url(self) -> str:
        return f"https://{HOST}" if self.port == 443 else f"https://{HOST}:{self.port}"

    def play(self, wanted: Sequence[Program]) -> int:
        """Play all; gives how many did not hold."""
        stage = self.folder / self.tier
        stage.mkdir()
        library, tools = libraries(self.installed), stage / "tools"
        tools.mkdir()
        furnish_tools(tools, self.binary, self.installed)
        authority = self.folder / "ca.pem"
        text = configuration(self.port, self.tier, authority, (library, tools))
        own = {"SITE_TOKEN": CANARY, "HOME": str(stage)}
        plane = WholePlane(stage, text, user=ordinary(), variables=own)
        plane.within_s = _RUN_S
        (plane.work / "Get.java").write_text(_JAVA)
        (plane.work / "get.js").write_text(_DENO)
        plane.start()
        failures = 0
        try:
            for program in wanted:
                if why := self._left_out(program, plane):
                    print(f"left out  {program.name}: {why}")
                    continue
                began = time.monotonic()
                wrong = play(program, plane, self)
                failures += bool(wrong)
                show(program.name, wrong, f"{time.monotonic() - began:.1f} s")
            wrong = recorded(plane)
            show("record", wrong)
        finally:
            plane.stop()
        return failures + bool(wrong)

    def _left_out(self, program: Program, plane: WholePlane) -> str:
        if not (plane.folder / program.needs).exists():
            return f"there is no {program.needs}"
        if self.port != 443 and not program.knows_proxies:
            return "it needs port 443 of the machine"
        return ""


def show(name: str, wrong: Sequence[str], took: str = "") -> None:
    print(f"{'FAILED' if wrong else 'holds '}    {name}  {took}", *wrong, sep="\n    ", flush=True)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tier", choices=("strict", "reduced", "both"), default="both")
    parser.add_argument("--only", default="")
    parser.add_argument("--keep", action="store_true", help="do not remove the folder")
    arguments = parser.parse_args()
    only = {each.strip() for each in arguments.only.split(",") if each.strip()}
    try:
        installed = asyncio.run(prepare("programs"))
    except InstallError as error:
        print(f"programs could not be installed; the first run needs a network:\n{error}")
        return 2
    folder = Path(tempfile.mkdtemp(prefix="ringfence-egress-")).resolve()
    folder.chmod(0o755)
    host, authority = Host(), trustme.CA()
    authority.cert_pem.write_to_path(folder / "ca.pem")
    failures = 0
    wanted = [each for each in programs() if not only or each.name in only]
    with serving(host, authority) as port:
        url = f"https://{HOST}" if port == 443 else f"https://{HOST}:{port}"
        furnish(host, folder, url)
        binary = built(folder, installed)
        for tier in ("strict", "reduced") if arguments.tier == "both" else (arguments.tier,):
            print(f"{tier}:", flush=True)
            journey = Journey(
                tier=tier, folder=folder, host=host, port=port, installed=installed, binary=binary
            )
            failures += journey.play(wanted)
    if arguments.keep:
        print(folder)
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if failures else 0


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        sys.exit(main())
