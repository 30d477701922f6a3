"""What a sandbox adds to a trace: commands, requests through egress, and what else was seen."""

from ringfence.analysis.branch import Sight, Step
from ringfence.cli.terminal.moment import show_duration, show_time
from ringfence.cli.terminal.style import Paint, Style
from ringfence.cli.trace.sheet import Sheet
from ringfence.domain.event import AGENT, BY_CALLER
from ringfence.domain.exchange import Part
from ringfence.domain.observation import Seen

_BETWEEN = " · "
_KIB = 1024
_SUBJECT = 80


def ended_as(step: Step, style: Style) -> tuple[str, Paint]:
    """How a command or a request ended, in a word and its colour."""
    if step.signal:
        return step.signal, style.bad
    if step.exit_code is not None:
        return f"exit {step.exit_code}", style.good if step.exit_code == 0 else style.warning
    if step.http_status:
        is_fine = step.http_status < 400  # noqa: PLR2004 (RFC 9110: errors begin there)
        return str(step.http_status), style.good if is_fine else style.warning
    if step.status in {"", "ok"}:
        return "ended" if step.status else "still running", style.dim
    return step.status, style.warning


def write_command(sheet: Sheet, step: Step) -> None:
    """The line of a command, where it ran, who asked for it and on whose word it is known."""
    style = sheet.style
    line = _part(step, "command")
    sheet.text("$", line.text if line is not None else "not stored", style.name)
    directory = _part(step, "directory")
    asked = f"asked for by {step.asked_by}" if step.asked_by else ""
    within = f"within {step.within}" if step.within and not step.asked_by else ""
    sheet.text(
        "ran",
        _joined(
            f"in {directory.text}" if directory is not None and directory.text else "",
            line.name if line is not None else "",
            asked,
            within,
            "" if step.is_refused else _chosen(step),
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
        shown = {name: value for name, value in shown.items() if name in _STARTED}
    with sheet.indented("    "):
        told = ", ".join(f"{name} {value}" for name, value in shown.items())
        sheet.text("", told, style.dim)
        answer = None if sight.reading is None else sight.reading.answer
        for part in () if answer is None else answer.parts:
            sheet.text("kept", part.text)


_LEFT_OUT = frozenset({"monitor_pid", "command_sha256", "from_us", "bytes"})
_STARTED = frozenset({"tier", "policy", "ca_fingerprint", "workspace", "uninspected", "actor"})


def took(step: Step) -> str:
    """How long it took."""
    return show_duration(step.duration_us) if step.duration_us else ""


def _short(text: str, sheet: Sheet) -> str:
    """A subject on the same line; the whole of it stands elsewhere or with --full."""
    is_long = len(text) > _SUBJECT and not sheet.is_full
    return f"{text[:_SUBJECT]}…" if is_long else text


def _chosen(step: Step) -> str:
    chosen = step.decision.facts.get("chosen_by", "")
    policies = step.decision.facts.get("policies", "")
    return f"chosen by the {chosen}" if chosen else policies


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
