"""`ringfence audit`: search the record, export it, verify it."""

import codecs
import importlib
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click
import msgspec

from ringfence.api import local
from ringfence.cli.connection import Place, connect
from ringfence.cli.option import JSON, at_installation, at_organisation, complete_agent
from ringfence.cli.terminal.moment import read_moment, show_duration, show_moment
from ringfence.cli.terminal.printing import (
    harmless_json,
    hint,
    progress,
    say,
    say_json,
    say_listing,
)
from ringfence.cli.terminal.style import Style, terminal_width
from ringfence.cli.terminal.table import Column, table
from ringfence.cli.usage import Group
from ringfence.domain.action import ActionKind
from ringfence.domain.error import UsageError
from ringfence.domain.event import (
    FINDING,
    AnyEvent,
    Change,
    Hold,
    Intent,
    Observation,
    Outcome,
    Refusal,
)
from ringfence.domain.money import Money, format_usd
from ringfence.transport.clock import SystemClock

_LISTED = 50
_DOES_NOT_HOLD = 1
_NEW = os.O_CREAT | os.O_EXCL | os.O_WRONLY
_KINDS = ("intent", "outcome", "refusal", "hold", "observation", "change", "finding")


@click.group(cls=Group)
def audit() -> None:
    """The record: search it, export it, verify it."""


@audit.command("query")
@click.option("--agent", metavar="NAME", shell_complete=complete_agent, help="Name or id.")
@click.option("--user", metavar="NAME", help="On whose behalf, or who changed it; name or id.")
@click.option("--since", metavar="TIME", help="`2h` ago, `7d` ago, or a date or time.")
@click.option("--until", metavar="TIME", help="The same; not included.")
@click.option("--kind", type=click.Choice(_KINDS))
@click.option(
    "--action-kind",
    type=click.Choice([each.value for each in ActionKind]),
    help="What was asked for.",
)
@click.option("--resource", metavar="NAME", help="The model, tool, host or command.")
@click.option("--sandbox", metavar="ID")
@click.option("--verdict", metavar="WORD", help="allow, deny, ask, throttle or stop.")
@click.option("--code", metavar="CODE", help="Of a refusal, an outcome or a change.")
@click.option("--text", metavar="TEXT", help="Found in messages.")
@click.option("--invocation", metavar="ID")
@click.option("--limit", type=click.IntRange(min=1), default=_LISTED, show_default=True)
@JSON
@at_organisation
def query(  # noqa: PLR0913 (one for each option)
    place: Place,
    *,
    agent: str | None,
    user: str | None,
    since: str | None,
    until: str | None,
    kind: str | None,
    action_kind: str | None,
    resource: str | None,
    sandbox: str | None,
    verdict: str | None,
    code: str | None,
    text: str | None,
    invocation: str | None,
    limit: int,
    is_json: bool,
) -> None:
    """Find events, the newest first. With --json each one as it was written."""
    now_us = SystemClock().now_us()
    with connect(place) as plane:
        items = plane.listing(
            "/audit/events",
            limit,
            agent=agent,
            user=user,
            since_us=None if since is None else read_moment(since, now_us),
            until_us=None if until is None else read_moment(until, now_us),
            kind=kind,
            action_kind=action_kind,
            resource=resource,
            sandbox=sandbox,
            verdict=verdict,
            code=code,
            text=text,
            invocation=invocation,
        )
    if is_json:
        say_json(items)
    elif items:
        say(_listing([msgspec.json.decode(item, type=AnyEvent) for item in items]))
    else:
        hint("no such events")


@audit.command("export")
@click.option("-o", "--output", metavar="FILE", help="A new file [standard output].")
@click.option("--since", metavar="TIME", help="`2h` ago, `7d` ago, or a date or time.")
@click.option("--until", metavar="TIME", help="The same; not included.")
@click.option("--events-only", is_flag=True, help="Leave out what verifying it needs.")
@at_organisation
def export(
    place: Place, *, output: str | None, since: str | None, until: str | None, events_only: bool
) -> None:
    """Write every event as it was recorded, one JSON line each, the oldest first.

    Lines that begin with {"evidence": follow, so that `audit verify FILE` can verify it elsewhere.
    """
    now_us = SystemClock().now_us()
    with connect(place) as plane, _target(output) as write:
        plane.stream(
            "/audit/export",
            write,
            since_us=None if since is None else read_moment(since, now_us),
            until_us=None if until is None else read_moment(until, now_us),
            evidence=None if events_only else "true",
        )
    if output is not None:
        hint(f"wrote {output}")


@audit.command("verify")
@click.argument("file", required=False, metavar="[EXPORT|PROOF]")
@click.option("--key", metavar="KEY|FILE", help="Trust this public key, as `up` prints it.")
@click.option("--since", metavar="FILE", help="Checkpoints that were kept elsewhere.")
@click.option(
    "--cosigned-by",
    metavar="KEY|FILE",
    multiple=True,
    help="Demand this witness's signature under what is kept elsewhere; may be repeated.",
)
@click.option("--without-bodies", is_flag=True, help="Leave stored messages out.")
@JSON
@at_installation
def verify(  # noqa: PLR0913 (one for each option)
    place: Place,
    *,
    file: str | None,
    key: str | None,
    since: str | None,
    cosigned_by: tuple[str, ...],
    without_bodies: bool,
    is_json: bool,
) -> int:
    """Find what was altered in the record; exit code 1 if anything was.

    Reads the data folder of a plane that runs or is stopped; or an export or a proof, wherever
    they are. Without --key and --since it can only
    tell that the record fits its own signatures; it says what that leaves open.
    """
    # Loaded only now: signatures and stores take a while to import.
    verification: Any = importlib.import_module("ringfence.stores.verification")
    rendering: Any = importlib.import_module("ringfence.cli.verification")
    storing: Any = importlib.import_module("ringfence.app.storage")
    outside = verification.Outside(
        key=verification.read_key(key) if key else None,
        kept=tuple(verification.read_kept(Path(since))) if since else (),
        witnesses=tuple(verification.read_witness(each) for each in cosigned_by),
    )
    data = place.settings.data
    with progress("verifying"):
        if file is not None:
            report = _verify_file(Path(file), outside)
        elif not data.is_dir():
            raise UsageError("no_record", f"there is no data folder `{data}`", help="give --data")
        else:
            storage = storing.storage_of(place.settings)
            report = verification.verify_folder(
                data,
                outside,
                kept=verification.Kept(
                    logs=storage.logs(), shelves=storage.shelves(), owns=storage.owns
                ),
                is_running=local.is_answering(local.address(data)),
                has_bodies=not without_bodies,
            )
    if is_json:
        say_json(msgspec.Raw(rendering.document(report)))
    else:
        say(rendering.lines(report))
    return 0 if report.holds else _DOES_NOT_HOLD


@audit.command("proof")
@click.argument("action")
@click.option("--kind", type=click.Choice(_KINDS), help="Which of its events [the newest].")
@at_organisation
def proof(place: Place, *, action: str, kind: str | None) -> None:
    """Prove that an action is on the record, in a text that `audit verify PROOF --key` checks."""
    with connect(place) as plane:
        sys.stdout.write(plane.get("/audit/proof", action=action, kind=kind).decode())


@audit.command("erase")
@click.option(
    "--invocation", metavar="ID", help="What it said, and its whole tree if it is a root."
)
@click.option("--action", metavar="ID", help="What one action said.")
@click.option("--user", metavar="NAME", help="What agents said on a person's behalf.")
@click.option("--reason", required=True, metavar="TEXT", help="Kept on the record.")
@at_organisation
def erase(
    place: Place, *, invocation: str | None, action: str | None, user: str | None, reason: str
) -> None:
    """Erase stored messages for good; their events stay and still verify.

    What is under a legal hold is not erased, and then nothing is.
    """
    given = {"invocation": invocation, "action": action, "user": user}
    order = {name: value for name, value in given.items() if value is not None}
    with connect(place) as plane:
        answer = plane.post("/audit/erase", {**order, "reason": reason})
    erased = msgspec.json.decode(answer, type=_Erased)
    calls = f" and {erased.held_calls} held calls" if erased.held_calls else ""
    hint(f"erased {erased.bodies} messages of {erased.actions} actions{calls}")


@audit.command("hold")
@click.argument("subject", required=False)
@click.option("--release", is_flag=True, help="End the hold.")
@click.option("--reason", metavar="TEXT", help="Kept on the record.")
@JSON
@at_organisation
def hold(
    place: Place, *, subject: str | None, release: bool, reason: str | None, is_json: bool
) -> None:
    """Keep `organisation`, `agent:NAME` or `invocation:ID` from deletion; or list what is kept."""
    with connect(place) as plane:
        if subject is not None:
            if not reason:
                raise UsageError("usage", "a hold needs a reason", help="give --reason TEXT")
            path = "/audit/holds/release" if release else "/audit/holds"
            plane.post(path, {"subject": subject, "reason": reason})
            return
        items = plane.listing("/audit/holds")
    if is_json:
        say_listing(items)
    elif items:
        holds = [msgspec.json.decode(each, type=dict[str, str]) for each in items]
        rows = [
            (show_moment(int(one["time_us"])), one["subject"], one["actor"], one["reason"])
            for one in holds
        ]
        columns = [Column("SINCE"), Column("HELD"), Column("BY"), Column("REASON")]
        say(table(columns, rows, Style.of(sys.stdout)))
    else:
        hint("nothing is held")


class _Erased(msgspec.Struct):
    actions: int
    bodies: int
    held_calls: int


@audit.command("rotate-key")
@at_organisation
def rotate_key(place: Place) -> None:
    """Sign with a fresh key from now on, and print its public half; the old one is deleted."""
    with connect(place) as plane:
        answer = msgspec.json.decode(plane.post("/audit/key"), type=_Key)
    say([answer.key])


class _Key(msgspec.Struct):
    key: str


def _verify_file(path: Path, outside: object) -> Any:  # noqa: ANN401 (loaded only when called)
    verification: Any = importlib.import_module("ringfence.stores.verification")
    proof_: Any = importlib.import_module("ringfence.stores.verification.proof")
    try:
        with path.open("rb") as file:
            is_proof = file.read(len(proof_.FIRST_LINE)) == proof_.FIRST_LINE
            data = proof_.FIRST_LINE + file.read() if is_proof else b""
    except OSError as error:
        raise UsageError("not_readable", f"cannot read `{path}`: {error.strerror}") from error
    if is_proof:
        return verification.verify_proof(data, outside)
    return verification.verify_export(path, outside)


@contextmanager
def _target(output: str | None) -> Iterator[Callable[[bytes], object]]:
    """Where an export goes. A file appears under its name only when it is whole."""
    if output is None:
        if sys.stdout.isatty():
            decoder = codecs.getincrementaldecoder("utf-8")("replace")
            yield lambda chunk: sys.stdout.write(harmless_json(decoder.decode(chunk)))
        else:
            yield sys.stdout.buffer.write
            sys.stdout.buffer.flush()
        return
    path = Path(output)
    if path.exists():
        raise UsageError("already_exists", f"`{path}` exists already", help="name another file")
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with os.fdopen(os.open(unfinished, _NEW, 0o600), "wb") as file:
            yield file.write
        unfinished.rename(path)
    except OSError as error:
        reason = (error.strerror or "unknown reason").lower()
        raise UsageError("not_writable", f"cannot write `{path}`: {reason}") from error
    finally:
        unfinished.unlink(missing_ok=True)


def _listing(events: list[AnyEvent]) -> list[str]:
    style = Style.of(sys.stdout)
    columns = [
        Column("TIME"),
        Column("KIND"),
        Column("WHO", paint=style.name),
        Column("INVOCATION"),
        Column("WHAT"),
    ]
    rows = [
        (show_moment(int(event.time_us)), *_kind_and_who(event), event.invocation, _what(event))
        for event in events
    ]
    return table(columns, rows, style, fits=terminal_width() if sys.stdout.isatty() else None)


def _kind_and_who(event: AnyEvent) -> tuple[str, str]:
    if isinstance(event, Change):
        return "finding" if event.what.startswith(FINDING) else "change", event.actor
    return type(event).__name__.lower(), event.agent_name


def _what(event: AnyEvent) -> str:
    match event:
        case Intent():
            obligations = "".join(f", {each}" for each in event.decision.obligations)
            reserved = format_usd(Money(int(event.reserved_nano)))
            return f"{event.resource}: {event.decision.verdict}{obligations}, {reserved} reserved"
        case Outcome():
            error = f" ({event.error})" if event.error else ""
            ended = _ended(event) or format_usd(Money(int(event.cost_nano)))
            return f"{event.status.value}{error}, {ended}, {show_duration(event.duration_us)}"
        case Refusal():
            again = f" ×{event.repeats} more" if event.repeats else ""
            return f"{event.resource}: {event.decision.code}{again}: {event.decision.message}"
        case Hold():
            why = event.decision.message
            return f"{event.resource}: held as {event.approval}{': ' + why if why else ''}"
        case Change() | Observation():
            detail = ", ".join(f"{name} {value}" for name, value in event.detail.items())
            more = (
                f" ×{event.repeats} more"
                if isinstance(event, Observation) and event.repeats
                else ""
            )
            return f"{event.what} {event.subject}{more}{': ' + detail if detail else ''}"


def _ended(event: Outcome) -> str:
    """How a command or a request ended; empty for what has a price."""
    if event.exit_code is not None:
        return f"exit {event.exit_code}"
    return event.signal
