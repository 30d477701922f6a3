"""What a request costs that leaves a sandbox: directly, through Ringfence, through mitmproxy.

    python -m bench.egress [--connections 1,8,64] [--seconds 5] [--rounds 3] [--mitmproxy FOLDER]
        [--python PROGRAM]

mitmproxy needs an environment of its own, which is looked for in `.bench/mitmproxy`:

    python3.13 -m venv .bench/mitmproxy && .bench/mitmproxy/bin/pip install mitmproxy

One run: in each round every subject is measured in turn. The gateway and mitmproxy have one core,
the host and the load the other. CPU is that of the whole process (all threads, user and system)
for each request; the least of the rounds counts, for the machine may be shared. Ringfence adds a
secret, takes it out of answers and records durably; mitmproxy has a script that adds the header,
looks for the secret in the body and writes a line to a file, which nobody syncs. "Distinct paths"
is Ringfence where no request is like another; "its interceptor alone" is its engine and TLS, and
nothing that governs (`bench.egress.bare`). With `--python` Ringfence is also measured on another
interpreter of the same version, with the same packages: many systems have one that was built with
profile-guided optimisation, as Debian's /usr/bin/python3.
"""

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tempfile
import time
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import trustme
from bench.egress.upstream import CREDENTIAL
from bench.model_gateway.process import Pinned, wait_until

_PORT: Final = 19_443
_MITM: Final = 19_080
_GATEWAY_CORE, _LOAD_CORE = 0, 1
_ADDON: Final = f"""
import json, time
VALUE = {CREDENTIAL!r}
LOG = open("requests.jsonl", "a")
def request(flow):
    flow.request.headers["authorization"] = "Bearer " + VALUE
    flow.request.headers["accept-encoding"] = "identity"
def response(flow):
    if VALUE.encode() in flow.response.content:
        flow.response.content = flow.response.content.replace(VALUE.encode(), b"*" * len(VALUE))
    LOG.write(json.dumps({{"t": time.time(), "method": flow.request.method,
        "url": flow.request.pretty_url, "status": flow.response.status_code}}) + "\\n")
    LOG.flush()
"""


@dataclass(frozen=True, slots=True)
class Subject:
    """What stands between; no process for the direct way."""

    name: str
    proxy: int
    trust: Path
    process: Pinned | None
    is_distinct: bool = False


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one run: requests in a second, the wait, the subject's CPU for each request."""

    per_second: float
    p50_us: float
    p99_us: float
    cpu_us: float
    rss_mb: float


def press(subject: Subject, connections: int, seconds: float) -> Figures:
    """Load a subject for so long."""
    command = ["taskset", "-c", str(_LOAD_CORE), sys.executable, "-m", "bench.egress.load"]
    command += ["--port", str(_PORT), "--proxy", str(subject.proxy)]
    command += ["--trust", str(subject.trust), "--connections", str(connections)]
    command += ["--seconds", str(seconds)]
    if subject.process is None:
        command.append("--authorised")
    if subject.is_distinct:
        command.append("--distinct")
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as load:
        if load.stdout is None:
            raise SystemExit("the load says nothing")
        load.stdout.readline()  # it is warm, and every connection open
        before = 0.0 if subject.process is None else subject.process.weigh().cpu_s
        line = load.stdout.readline()
        after = None if subject.process is None else subject.process.weigh()
    if not line:
        raise SystemExit(f"{subject.name}: the load failed")
    seen = json.loads(line)
    cpu_s = 0.0 if after is None else after.cpu_s - before
    return Figures(
        per_second=seen["requests"] / seen["seconds"],
        p50_us=seen["p50_us"],
        p99_us=seen["p99_us"],
        cpu_us=cpu_s * 1e6 / seen["requests"],
        rss_mb=0.0 if after is None else after.rss_mb,
    )


def packages() -> str:
    """Where the bench and what it needs are, but for this interpreter's own library."""
    library = sysconfig.get_path("stdlib")
    found = [each for each in sys.path if each and not each.endswith(".zip")]
    return os.pathsep.join(
        each for each in found if "site-packages" in each or not each.startswith(library)
    )


def ours(
    stack: ExitStack, folder: Path, name: str, module: str, python: str = sys.executable
) -> Subject:
    """The gateway, or only its interceptor, in a process of its own."""
    own = Path(tempfile.mkdtemp(dir=folder))
    log = own / "out.log"
    command = [python, "-m", f"bench.egress.{module}", "--port", str(_PORT)]
    command += ["--authority", str(folder / "ca.pem"), "--folder", str(own)]
    process = Pinned(command, core=_GATEWAY_CORE, log=log, environment={"PYTHONPATH": packages()})
    stack.callback(process.stop)
    wait_until(lambda: b"sandbox.pem" in log.read_bytes(), 30, name)
    port, trust = log.read_text().splitlines()[0].split()
    return Subject(name, int(port), Path(trust), process)


def mitmproxy(stack: ExitStack, folder: Path, home: Path) -> Subject:
    """mitmproxy with a script."""
    own = folder / "mitmproxy"
    own.mkdir()
    (own / "addon.py").write_text(_ADDON)
    command = [str(home / "bin" / "mitmdump"), "-q", "-s", "addon.py", "-p", str(_MITM)]
    command += ["--set", f"confdir={own}", "--set", "http2=false", "--set", "flow_detail=0"]
    command += ["--set", f"ssl_verify_upstream_trusted_ca={folder / 'ca.pem'}"]
    log = own / "out.log"
    process = Pinned(command, core=_GATEWAY_CORE, log=log, environment={"PYTHONPATH": ""})
    stack.callback(process.stop)
    trust = own / "mitmproxy-ca-cert.pem"
    wait_until(trust.exists, 60, "mitmproxy")
    time.sleep(2)
    return Subject("mitmproxy", _MITM, trust, process)


def version_of(home: Path) -> str:
    """Which mitmproxy is there; empty, and said what to do, if there is none."""
    program = home / "bin" / "mitmdump"
    if not program.exists():
        print(
            f"mitmproxy is not in {home}, and is left out. To compare with it:\n"
            f"    python3.13 -m venv {home} && {home / 'bin' / 'pip'} install mitmproxy",
            file=sys.stderr,
        )
        return ""
    said = subprocess.run([str(program), "--version"], capture_output=True, text=True, check=False)
    if said.returncode:
        raise SystemExit(f"{program} --version fails:\n{said.stderr}")
    return " ".join(said.stdout.split("\n")[:2])


def measure(arguments: argparse.Namespace) -> None:
    """Measure everything and print a table."""
    home = Path(arguments.mitmproxy).absolute()
    peer = version_of(home)
    with tempfile.TemporaryDirectory() as place, ExitStack() as stack:
        folder = Path(place)
        authority = trustme.CA()
        authority.cert_pem.write_to_path(folder / "ca.pem")
        authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
            folder / "chain.pem"
        )
        log = folder / "upstream.log"
        command = [sys.executable, "-m", "bench.egress.upstream", "--port", str(_PORT)]
        command += ["--chain", str(folder / "chain.pem")]
        paths = os.pathsep.join(each for each in sys.path if each)
        host = Pinned(command, core=_LOAD_CORE, log=log, environment={"PYTHONPATH": paths})
        stack.callback(host.stop)
        wait_until(lambda: b"ready" in log.read_bytes(), 30, "the host")
        direct = Subject("direct TLS", 0, folder / "ca.pem", None)
        gateway = ours(stack, folder, "Ringfence", "gateway")
        distinct = replace(gateway, name="Ringfence, distinct paths", is_distinct=True)
        bare = ours(stack, folder, "its interceptor alone", "bare")
        subjects = [direct, gateway, distinct, bare]
        if arguments.python:
            name = f"Ringfence on {arguments.python}"
            subjects.append(ours(stack, folder, name, "gateway", arguments.python))
        if peer:
            subjects.append(mitmproxy(stack, folder, home))
        for subject in subjects[1:]:
            if subject.process is not None:
                subject.process.pause()
        rounds: dict[tuple[str, int], list[Figures]] = {}
        counts = [int(each) for each in arguments.connections.split(",")]
        for _ in range(arguments.rounds):
            for count in counts:
                for subject in subjects:
                    if subject.process is not None:
                        subject.process.resume()
                    found = press(subject, count, arguments.seconds)
                    rounds.setdefault((subject.name, count), []).append(found)
                    if subject.process is not None:
                        subject.process.pause()
        report(subjects, counts, rounds, peer or "without mitmproxy")


def report(
    subjects: list[Subject],
    counts: list[int],
    rounds: dict[tuple[str, int], list[Figures]],
    version: str,
) -> None:
    """The table: of each subject and count, the round that cost least."""
    print(f"{version}; load of the machine before and after: {os.getloadavg()}")
    print("| | connections | requests/s | median µs | p99 µs | µs CPU | MB |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for subject in subjects:
        for count in counts:
            found = rounds[subject.name, count]
            best = min(found, key=lambda each: each.cpu_us or -each.per_second)
            cpu = f"{best.cpu_us:,.0f}" if subject.process is not None else "–"
            size = f"{best.rss_mb:,.0f}" if subject.process is not None else "–"
            print(
                f"| {subject.name} | {count} | {best.per_second:,.0f} | {best.p50_us:,.0f} |"
                f" {best.p99_us:,.0f} | {cpu} | {size} |"
            )


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--connections", default="1,8,64")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--mitmproxy", default=".bench/mitmproxy")
    parser.add_argument("--python", default="")
    measure(parser.parse_args())
