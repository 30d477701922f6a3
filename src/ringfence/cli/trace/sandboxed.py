"""What a sandbox adds to a trace: commands, requests through egress, and what else was seen."""

from collections.abc import Sequence

from ringfence.analysis.branch import Sight, Step
from ringfence.cli.terminal.moment import show_duration, show_time
from ringfence.cli.terminal.style import Paint
from ringfence.cli.trace.sheet import Sheet
from ringfence.domain.action import ActionKind
from ringfence.domain.event import AGENT, BY_CALLER
from ringfence.domain.exchange import Part
from ringfence.domain.observation import Seen

_BETWEEN = " · "
_KIB = 1024
_SUBJECT = 80
_NAME = 40
_COMMAND_LINES = 4
"""Programs give each other options by the dozen; what they are about stands first."""
_SYSTEM = ("/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin")
REPLACED = "replaced"
"""How a command ends whose process goes on as another."""


def heading(step: Step) -> str:
    """A step's resource; of a long path its end, since the whole of it stands below."""
    name = step.resource
    is_path = step.kind == ActionKind.SHELL_EXEC and len(name) > _NAME
    return f"…/{name.rpartition('/')[2]}" if is_path else name


def ended_as(sheet: Sheet, step: Step) -> tuple[str, Paint]:
    """How a command or a request ended, in a word and its colour."""
    style = sheet.style
    if step.signal:
        return step.signal, style.bad
    if step.exit_code is not None:
        return f"exit {step.exit_code}", style.good if step.exit_code == 0 else style.warning
    if step.http_status:
        is_fine = step.http_status < 400  # noqa: PLR2004 (RFC 9110: errors begin there)
        return str(step.http_status), style.good if is_fine else style.warning
    if step.error == REPLACED:
        after = [each for each in sheet.steps.values() if each.within == step.action]
        went_on = sheet.named(after[-1].action) if after else "another program"
        return f"went on as {went_on}", style.dim
    if step.status in {"", "ok"}:
        return "ended" if step.status else "still running", style.dim
    return step.status, style.warning


def write_command(sheet: Sheet, step: Step) -> None:
    """The line of a command, where it ran, who asked for it and on whose word it is known."""
    style = sheet.style
    line = _part(step, "command")
    words = line.text if line is not None else "not stored"
    sheet.text("$", words, style.name, most=_COMMAND_LINES)
    cut = _part(step, "cut")
    if cut is not None:
        sheet.text("cut", cut.text, style.dim)
    sheet.text(
        "ran",
        _joined(
            _place(sheet, step),
            line.name if line is not None and _is_telling(sheet, step, line.name) else "",
            _origin(sheet, step),
            "" if step.is_refused else _chosen(sheet, step),
            _word(step),
        ),
        style.dim,
    )
    result = _part(step, "tool_result")
    if result is not None:
        sheet.text("result", result.text)


def write_request(sheet: Sheet, step: Step) -> None:
    """A request through egress: what went where, with which credential, and what came back."""
    style = sheet.style
    sheet.text("request", f"{step.operation} {step.target or step.resource}", style.name)
    for kind in ("sent", "received"):
        part = _part(step, kind)
        if part is not None:
            sheet.text(kind, part.text)
    sheet.text(
        "passed",
        _joined(
            f"to {step.address}" if step.address else "",
            f"{_size(step.sent_bytes)} up, {_size(step.received_bytes)} down",
            f"with {', '.join(step.secrets)}" if step.secrets else "",
            f"{step.redactions} redactions" if step.redactions else "",
            "UNINSPECTED" if step.uninspected else "",
            _word(step),
        )
        if not step.is_refused
        else "",
        style.dim,
    )


def write_sight(sheet: Sheet, sight: Sight) -> None:
    """Something seen of a sandbox that is no action, on one line."""
    style = sheet.style
    again = f" ×{1 + sight.repeats}" if sight.repeats else ""
    said = " (the agent's own word)" if sight.reported_by == AGENT else ""
    kept = f"  {_size(sight.body_bytes)} kept as {sight.action}" if sight.body_bytes else ""
    is_denied = sight.detail.get("verdict") == "deny"
    sheet.line(
        ("  · ", style.dim),
        (f"{show_time(int(sight.time_us))}  ", style.dim),
        (f"{sight.what} ", style.bad if is_denied else style.dim),
        (_short(sight.subject, sheet), style.bad if is_denied else None),
        (f"{again}{said}{kept}", style.dim),
    )
    shown = {name: value for name, value in sight.detail.items() if name not in _LEFT_OUT}
    if sight.what == Seen.SANDBOX_STARTED and not sheet.is_full:
        shown = {name: shown[name] for name in _STARTED if name in shown}
    with sheet.indented("    "):
        told = _BETWEEN.join(f"{name} {sheet.named(value)}" for name, value in shown.items())
        sheet.text("", told, style.dim)
        answer = None if sight.reading is None else sight.reading.answer
        for part in () if answer is None else answer.parts:
            sheet.text("kept", part.text)


def is_everyday(sight: Sight) -> bool:
    """Whether it is a local socket that a program of the system tried in passing.

    glibc asks a name service daemon for users and groups, and a log daemon, by Unix sockets.
    """
    is_socket = (sight.what, sight.subject) == (Seen.CALL_REFUSED, "socket")
    return is_socket and sight.detail.get("with", "").startswith("unix ")


def write_everyday(sheet: Sheet, sights: Sequence[Sight]) -> None:
    """How often that was, in one line."""
    many = sum(1 + sight.repeats for sight in sights)
    if many:
        sockets = f"{many} local socket{'' if many == 1 else 's'}"
        told = f"{sockets} asked for, which a sandbox has not; --full shows each"
        sheet.blank()
        sheet.line(("  · ", sheet.style.dim), (told, sheet.style.dim))


_LEFT_OUT = frozenset({"monitor_pid", "command_sha256", "from_us", "bytes"})
_STARTED = ("tier", "workspace", "actor", "policy", "uninspected", "ca_fingerprint")
"""What of a start is shown, the most telling first."""


def took(step: Step) -> str:
    """How long it took."""
    return show_duration(step.duration_us) if step.duration_us else ""


def _short(text: str, sheet: Sheet) -> str:
    """A subject on the same line; the whole of it stands elsewhere or with --full."""
    is_long = len(text) > _SUBJECT and not sheet.is_full
    return f"{text[:_SUBJECT]}…" if is_long else text


def _place(sheet: Sheet, step: Step) -> str:
    """The directory of a command, unless that which it began in is in the same."""
    above = sheet.steps.get(step.within)
    here = _part(step, "directory")
    there = None if above is None or sheet.is_full else _part(above, "directory")
    is_new = here is not None and here.text and (there is None or here.text != there.text)
    return f"in {here.text}" if here is not None and is_new else ""


def _is_telling(sheet: Sheet, step: Step, path: str) -> bool:
    """Whether the file of a program says more than its name."""
    return sheet.is_full or path not in {f"{each}/{step.resource}" for each in _SYSTEM}


def _origin(sheet: Sheet, step: Step) -> str:
    """The command that it is part of; for the first of these, the model call that asked."""
    above = sheet.steps.get(step.within)
    is_part = above is not None and above.asked_by == step.asked_by
    if step.asked_by and not is_part:
        return f"asked for by {sheet.named(step.asked_by)}"
    return f"within {sheet.named(step.within)}" if step.within else ""


def _chosen(sheet: Sheet, step: Step) -> str:
    """Why it may run, where that is not the agent's scope alone."""
    chosen = step.decision.facts.get("chosen_by", "")
    policies = step.decision.facts.get("policies", "")
    if chosen:
        return f"chosen by the {chosen}"
    is_scope = policies.startswith("scope:") and "," not in policies
    return "" if is_scope and not sheet.is_full else policies


def _word(step: Step) -> str:
    """Whose word it is, where that is not Ringfence's own."""
    obeyed = "the agent had to obey by itself" if step.enforced == BY_CALLER else ""
    told = "its end is the agent's word" if step.reported_by == AGENT else ""
    return _joined(obeyed, told)


def _part(step: Step, kind: str) -> Part | None:
    answer = None if step.reading is None else step.reading.answer
    parts = () if answer is None else answer.parts
    return next((part for part in parts if part.kind == kind), None)


def _size(count: int) -> str:
    return f"{count / _KIB:.1f} KiB" if count >= _KIB else f"{count} B"


def _joined(*parts: str) -> str:
    return _BETWEEN.join(part for part in parts if part)
