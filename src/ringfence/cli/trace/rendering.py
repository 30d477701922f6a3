"""A trace as a tree for people: the invocation, its steps, and what it started."""

from ringfence.analysis.branch import Branch, Sight, Step, Totals
from ringfence.cli.terminal.moment import show_duration, show_moment, show_time
from ringfence.cli.terminal.style import Style
from ringfence.cli.trace.sandboxed import is_everyday, write_everyday, write_sight
from ringfence.cli.trace.sheet import Sheet
from ringfence.cli.trace.step import dollars, write_step
from ringfence.domain.action import ActionKind
from ringfence.domain.invocation import InvocationState

_CHILD = "│ "
_VALUE = 120
"""Characters of one detail of a note."""


def render(
    branch: Branch, style: Style, width: int, *, owner: str = "", is_full: bool = False
) -> list[str]:
    """The lines of a trace. `owner` is that of the agent at the top."""
    sheet = Sheet(style, width, is_full=is_full)
    _write(sheet, branch, owner)
    return sheet.lines


def _write(sheet: Sheet, branch: Branch, owner: str) -> None:
    _heading(sheet, branch, owner)
    before: Step | None = None
    sights = sorted(branch.sights, key=lambda sight: sight.after)
    everyday = [each for each in sights if is_everyday(each) and not sheet.is_full]
    sights = [each for each in sights if not is_everyday(each) or sheet.is_full]
    with sheet.about(branch.steps):
        for step in branch.steps:
            sights = _seen_until(sheet, sights, step.number - 1)
            sheet.blank()
            write_step(sheet, step, before)
            is_talk = step.reading is not None and step.kind == ActionKind.MODEL_CALL
            before = step if is_talk else before
        _seen_until(sheet, sights, len(branch.steps))
        write_everyday(sheet, everyday)
        _notes(sheet, branch)
    for child in branch.children:
        sheet.blank()
        with sheet.indented(_CHILD):
            _write(sheet, child, "")


def _seen_until(sheet: Sheet, sights: list[Sight], number: int) -> list[Sight]:
    """Write what was seen up to a step; gives what is left."""
    due = [sight for sight in sights if sight.after <= number]
    if due:
        sheet.blank()
    for sight in due:
        write_sight(sheet, sight)
    return sights[len(due) :]


def _heading(sheet: Sheet, branch: Branch, owner: str) -> None:
    style = sheet.style
    state = style.bad if branch.state is InvocationState.STOPPED else style.good
    name = branch.agent_name or branch.agent or "(unknown agent)"
    sheet.line(
        (name, style.bold),
        (f" version {branch.agent_version}" if branch.agent_version else "", style.dim),
        ("  ", None),
        (branch.invocation, style.dim),
        ("  ", None),
        (branch.state.value, state),
    )
    sheet.text("owner", owner)
    sheet.text("task", branch.task)
    if branch.opened_us:
        opened_us, last_us = int(branch.opened_us), int(branch.last_us or branch.opened_us)
        lasted = show_duration(last_us - opened_us)
        sheet.text("opened", f"{show_moment(opened_us)}, lasted {lasted}")
    named = f" ({branch.external_id})" if branch.external_id else ""
    sheet.text("grouped by", f"{branch.grouping}{named}" if branch.grouping else "")
    if len(branch.chain) > 1:
        sheet.text("on behalf", " → ".join(branch.chain))
    sheet.text("total", _totals(branch.totals))


def _totals(totals: Totals) -> str:
    guess = " (partly estimated)" if totals.is_estimated else ""
    parts = [
        _count(totals.steps, "step"),
        _count(totals.refusals, "refusal") if totals.refusals else "",
        _count(totals.invocations, "invocation") if totals.invocations > 1 else "",
        f"{totals.input_tokens:,} tokens in, {totals.output_tokens:,} out{guess}",
        dollars(totals.cost_nano),
    ]
    return " · ".join(part for part in parts if part)


def _notes(sheet: Sheet, branch: Branch) -> None:
    """What happened to the invocation itself; its opening stands in the heading."""
    shown = [note for note in branch.notes if note.what != "invocation.opened"]
    if shown:
        sheet.blank()
    for note in shown:
        detail = ", ".join(f"{name} {_told(sheet, value)}" for name, value in note.detail.items())
        what = f"{show_time(int(note.time_us))}  {note.what} by {note.actor}"
        sheet.text("note", f"{what}: {detail}" if detail else what, sheet.style.dim)


def _told(sheet: Sheet, value: str) -> str:
    """A value of a note; a command may be longer than all that is to be said of it."""
    is_long = len(value) > _VALUE and not sheet.is_full
    return f"{value[:_VALUE]}…" if is_long else sheet.named(value)


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
