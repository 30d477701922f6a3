"""What the ledger and the bodies cost: CPU per call, group sizes, how long an intent waits.

Run `python -m bench.ledger [folder]`; the folder's disk is the one measured.
"""

import asyncio
import os
import sys
import tempfile
import time
from pathlib import Path
from statistics import quantiles

import msgspec
import uvloop

from ringfence.domain.event import AccountLine, Attempt, Decision, Intent, Outcome, Status
from ringfence.domain.usage import Usage
from ringfence.stores.body import Body, BodyStore
from ringfence.stores.ledger import Fence, LedgerWriter

PAIRS = 20_000
ORGANISATION = "org_0199a000000071008000000000000001"
AGENT = "agt_0199a000000071008000000000000002"
TIME_US = 1_795_000_000_000_000


def identifier(prefix: str, number: int) -> str:
    return f"{prefix}_0199a0{number:010x}7{os.urandom(7).hex()}0"


def account_lines(invocation: str) -> list[AccountLine]:
    holders = (
        ("invocation", invocation, "invocation"),
        ("agent", AGENT, "day"),
        ("team", "team_0199a00000007100800000000000000a", "month"),
        ("organisation", ORGANISATION, "month"),
    )
    return [
        AccountLine(scope, holder, per, str(TIME_US), "5000000000", "4998765432")
        for scope, holder, per in holders
    ]


def pair(number: int, invocation: str, step: int) -> tuple[Intent, Outcome]:
    action = identifier("act", number)
    agent = {
        "format": 1,
        "organisation": ORGANISATION,
        "time_us": str(TIME_US + number),
        "epoch": 3,
        "configuration": "sha256:" + "ab" * 32,
        "agent": AGENT,
        "agent_name": "triage",
        "agent_version": "1",
        "credential": "crd_0199a000000071008000000000000003",
        "chain": ["user_0199a000000071008000000000000004", AGENT],
        "tier": "api",
        "action": action,
        "invocation": invocation,
        "root": invocation,
        "reserved_nano": str(1_234_567 + number),
        "accounts": account_lines(invocation),
    }
    intent = {
        "action_kind": "model.call",
        "resource": "gpt-5-mini",
        "operation": "chat",
        "grouping": "conversation",
        "opens": step == 1,
        "step": step,
        "decision": Decision(verdict="allow", obligations=["output_limit=4000"]),
        "provider": "openai",
        "upstream": "gpt-5-mini",
        "stream": True,
        "output_limit": 4000,
        "input_bound": 4096,
        "client": "OpenAI/Python 3.1.0",
    }
    outcome = {
        "status": Status.OK,
        "http_status": 200,
        "finish": "stop",
        "usage": Usage(input_tokens=1003, output_tokens=117, cache_read_tokens=512),
        "cost_nano": str(234_567 + number),
        "price_source": "genai-prices 0.2.3",
        "attempts": [
            Attempt(provider="openai", upstream="gpt-5-mini", status=200, duration_us=812_345)
        ],
        "duration_us": 812_400,
        "first_byte_us": 312_400,
        "response_model": "gpt-5-mini-2026-02-03",
    }
    return Intent(**agent, **intent), Outcome(**agent, **outcome)  # type: ignore[arg-type]


def pairs(concurrency: int) -> list[tuple[Intent, Outcome]]:
    """Calls of as many invocations as run at once, ten steps each."""
    made = []
    invocations: list[str] = []
    for number in range(PAIRS):
        slot, step = number % concurrency, number // concurrency % 10 + 1
        if step == 1 and slot == 0:
            invocations = [identifier("inv", number + n) for n in range(concurrency)]
        made.append(pair(number, invocations[slot], step))
    return made


async def drive(
    writer: LedgerWriter,
    calls: list[tuple[Intent, Outcome]],
    concurrency: int,
    bodies: list[tuple[Body, Body]] | None = None,
    upstream_s: float = 0.0,
) -> list[float]:
    """Send calls, at most so many at once; give how long each intent waited, in µs."""
    waits: list[float] = []
    numbered = iter(list(enumerate(calls)))

    async def work() -> None:
        for number, (intent, outcome) in numbered:
            request, response = bodies[number % len(bodies)] if bodies else (None, None)
            began = time.perf_counter_ns()
            await writer.intend(intent, request)
            waits.append((time.perf_counter_ns() - began) / 1000)
            if upstream_s:
                await asyncio.sleep(upstream_s)
            writer.record(outcome, response)

    await asyncio.gather(*(work() for _ in range(concurrency)))
    await writer.flush()
    return waits


def thread_cpu_s(ident: int | None) -> float:
    return time.clock_gettime(time.pthread_getcpuclockid(ident)) if ident else 0.0


async def measure_ledger(folder: Path, concurrency: int, upstream_s: float) -> None:
    calls = pairs(concurrency)
    writer = LedgerWriter.open(Fence.take(folder, f"log_{concurrency}"))
    thread = writer.committer.ident
    before, all_before, began = thread_cpu_s(thread), time.process_time(), time.perf_counter()
    waits = await drive(writer, calls, concurrency, upstream_s=upstream_s)
    cpu, all_cpu = thread_cpu_s(thread) - before, time.process_time() - all_before
    wall = time.perf_counter() - began
    groups = writer.groups
    await writer.close()
    size = (folder / "ledger" / f"log_{concurrency}.db").stat().st_size
    cuts = quantiles(waits, n=100)
    print(
        f"{concurrency:4} at once, {upstream_s * 1e3:2.0f} ms upstream:"
        f" {PAIRS / wall:7.0f} calls/s, {2 * PAIRS / groups:5.1f} events a commit,"
        f" CPU per call {cpu / PAIRS * 1e6:5.1f} µs (with the driver {all_cpu / PAIRS * 1e6:5.1f}),"
        f" intent p50 {cuts[49]:5.0f} µs, p99 {cuts[98]:5.0f} µs,"
        f" disk {size / PAIRS:4.0f} B per call"
    )


def conversation(size: int, seed: int) -> Body:
    """A request of about so many bytes, in messages of about 1 KB."""
    whole = b'{"model":"gpt-5-mini","stream":true,"messages":['
    spans: list[tuple[int, int]] = []
    number = 0
    while len(whole) < size:
        text = f"step {seed} {number} " + os.urandom(160).hex() + " the quick brown fox" * 30
        message = msgspec.json.encode({"role": "user", "content": text[:900]})
        whole += b"," if spans else b""
        spans.append((len(whole), len(whole) + len(message)))
        whole += message
        number += 1
    return Body(whole + b"]}", tuple(spans))


async def measure_bodies(folder: Path, size: int, *, distinct: int, name: str) -> None:
    answer = Body(b'{"choices":[{"message":{"content":"' + b"word " * 100 + b'"}}]}')
    bodies = [(conversation(size, seed), answer) for seed in range(distinct)]
    count = min(PAIRS, 4000)
    calls = pairs(64)[:count]
    store = BodyStore.open(folder, limit_bytes=1 << 30)
    writer = LedgerWriter.open(Fence.take(folder, f"log_{name}"), bodies=store)
    idents = (store.ident, writer.committer.ident)
    before = [thread_cpu_s(ident) for ident in idents]
    await drive(writer, calls, 64, bodies)
    store.flush()
    after = [thread_cpu_s(ident) for ident in idents]
    await writer.close()
    store.close()
    storing, writing = ((b - a) / count * 1e6 for a, b in zip(before, after, strict=True))
    disk = sum(path.stat().st_size for path in (folder / "bodies").iterdir())
    print(
        f"{size / 1000:5.0f} KB {name:9}: body thread {storing:6.1f} µs, ledger thread"
        f" {writing:6.1f} µs, disk {disk / count:7.0f} B per call, not stored {store.not_stored}"
    )


def main() -> None:
    where = sys.argv[1] if len(sys.argv) > 1 else None
    for concurrency, upstream_s in ((1, 0), (8, 0), (16, 0), (64, 0), (256, 0), (64, 0.02)):
        with tempfile.TemporaryDirectory(dir=where) as folder:
            uvloop.run(measure_ledger(Path(folder), concurrency, upstream_s))
    for size in (4_000, 100_000):
        for name, distinct in (("repeated", 1), ("new", 4000 if size < 10_000 else 1000)):
            with tempfile.TemporaryDirectory(dir=where) as folder:
                uvloop.run(measure_bodies(Path(folder), size, distinct=distinct, name=name))


if __name__ == "__main__":
    main()
