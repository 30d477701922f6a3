"""One step of a trace: what the model was given and said, what was decided, what it cost."""

from collections.abc import Iterable, Sequence

from ringfence.analysis.branch import Step
from ringfence.cli.terminal.moment import show_duration, show_time
from ringfence.cli.terminal.style import Paint
from ringfence.cli.trace import sandboxed
from ringfence.cli.trace.sheet import Sheet
from ringfence.domain.action import ActionKind
from ringfence.domain.event import AccountLine
from ringfence.domain.exchange import Message, Part
from ringfence.domain.money import Money, format_usd
from ringfence.domain.usage import Usage

_INDENT = "    "
_BETWEEN = " · "
_OWN_ROLES = frozenset({"assistant", "model"})
_HELD = "ask"
_OF_SANDBOXES = frozenset({ActionKind.SHELL_EXEC, ActionKind.HTTP_REQUEST})
_DEFAULT_LIMIT = "(default)"


def write_step(sheet: Sheet, step: Step, before: Step | None) -> None:
    """Write a step. `before` is the last one whose messages are known; what it had is left out."""
    _heading(sheet, step)
    with sheet.indented(_INDENT):
        match step.kind:
            case ActionKind.TOOL_CALL:
                _tool(sheet, step)
            case ActionKind.SHELL_EXEC:
                sandboxed.write_command(sheet, step)
            case ActionKind.HTTP_REQUEST:
                sandboxed.write_request(sheet, step)
            case _:
                _given(sheet, step, before)
                _said(sheet, step)
        _decided(sheet, step)
        _settled(sheet, step)


def dollars(nano: str) -> str:
    """An exact amount."""
    return format_usd(Money(int(nano)))


def _heading(sheet: Sheet, step: Step) -> None:
    style = sheet.style
    where = f" → {step.provider}/{step.upstream}" if step.provider else ""
    words: list[tuple[str, Paint | None]] = [
        (f"{step.number:>3} ", style.bold),
        (f"{show_time(int(step.time_us))}  ", style.dim),
        (sandboxed.heading(step) or step.operation, style.name),
        (f"{where}  ", None),
    ]
    if step.is_refused:
        again = f" ×{1 + step.repeats}" if step.repeats else ""
        words.append((f"REFUSED {step.decision.code}{again}", style.bad))
    elif step.decision.verdict == _HELD:
        words.append((f"HELD {step.approval}", style.warning))
    elif step.kind in _OF_SANDBOXES:
        words += [sandboxed.ended_as(sheet, step), (f"  {sandboxed.took(step)}", style.dim)]
    elif step.status == "ok":
        words.append((f"{dollars(step.cost_nano)}", style.bold))
    else:
        words.append((step.status or "still running", style.warning))
    sheet.line(*words)


def _tool(sheet: Sheet, step: Step) -> None:
    """A tool call: who asked for it, with what, and what came back."""
    style = sheet.style
    about = f"for {sheet.named(step.about)}" if step.about else ""
    asked = f"asked for by {sheet.named(step.asked_by)}" if step.asked_by else ""
    policies = step.decision.facts.get("policies", "")
    sheet.text("tool", _joined(step.permission, asked, about), style.dim)
    answer = None if step.reading is None else step.reading.answer
    for part in () if answer is None else answer.parts:
        is_result = part.kind == "tool_result"
        sheet.text("result" if is_result else "arguments", part.text or "(empty)")
    if answer is None and not step.is_refused:
        sheet.text("arguments", "not stored", style.dim)
    sheet.text("policies", policies, style.dim)


def _given(sheet: Sheet, step: Step, before: Step | None) -> None:
    reading = step.reading
    if reading is None:
        if not step.is_refused:
            sheet.text("messages", "not stored", sheet.style.dim)
        return
    earlier = None if before is None or sheet.is_full else before.reading
    if earlier is None or list(earlier.system) != list(reading.system):
        _parts(sheet, "system", reading.system)
    fresh = _fresh(reading.context, None if earlier is None else earlier.answer)
    known = step.earlier_messages + len(reading.context) - len(fresh)
    if known:
        plural = "" if known == 1 else "s"
        sheet.text("", f"… after {known} earlier message{plural}", sheet.style.dim)
    for message in fresh:
        _parts(sheet, message.role, message.parts)
    if reading.tools and (earlier is None or list(earlier.tools) != list(reading.tools)):
        sheet.text("tools", ", ".join(reading.tools), sheet.style.dim)


def _fresh(context: Sequence[Message], answer: Message | None) -> Sequence[Message]:
    """The context without its beginning that only repeats the answer of the step before.

    Dialects put one answer into one message or into several, with or without its reasoning.
    """
    if answer is None:
        return context
    said = [(part.kind, part.name, part.text) for part in answer.parts]
    for index, message in enumerate(context):
        parts = [(part.kind, part.name, part.text) for part in message.parts]
        if message.role not in _OWN_ROLES or not all(part in said for part in parts):
            return context[index:]
    return ()


def _said(sheet: Sheet, step: Step) -> None:
    answer: Message | None = None if step.reading is None else step.reading.answer
    if answer is not None:
        _parts(sheet, "answer", answer.parts)
    elif step.tool_calls:
        sheet.text("calls", ", ".join(step.tool_calls))


def _parts(sheet: Sheet, label: str, parts: Sequence[Part]) -> None:
    style = sheet.style
    for part in parts:
        match part.kind:
            case "text":
                sheet.text(label, part.text)
            case "reasoning":
                sheet.text("thinking", part.text or "(not given)", style.dim)
            case "tool_call":
                sheet.text("calls", f"{part.name} {part.text}", style.name)
            case "tool_result":
                sheet.text("result", part.text or "(empty)")
            case kind:
                sheet.text(label, f"[{kind}] {part.text}".rstrip(), style.dim)


def _decided(sheet: Sheet, step: Step) -> None:
    decision, style = step.decision, sheet.style
    if step.is_refused:
        sheet.text("refused", decision.message or decision.code, style.bad)
        return
    obligations = map(_obligation, decision.obligations)
    if step.approval and decision.verdict != _HELD:
        sheet.text("approval", step.approval)
    reasons = [*obligations, *filter(None, (decision.code, decision.message))]
    if reasons or decision.verdict != "allow":
        is_usual = all(each.endswith(_DEFAULT_LIMIT) for each in reasons)
        paint = style.dim if is_usual else style.warning
        sheet.text("verdict", _BETWEEN.join((decision.verdict, *reasons)), paint)


def _obligation(stated: str) -> str:
    """`output_limit=50 (default)` in words; what stands in brackets may be a text of its own."""
    name, bracket, why = stated.partition(" (")
    return name.replace("=", " ").replace("_", " ") + bracket + why


def _settled(sheet: Sheet, step: Step) -> None:
    style = sheet.style
    if step.kind in _OF_SANDBOXES:  # they cost nothing; how they ended stands above
        is_told = step.is_refused or step.error == sandboxed.REPLACED
        sheet.text("ended", "" if is_told else step.error, style.dim)
        return
    if step.is_refused:
        sheet.text("left", _left(step.accounts), style.dim)
        return
    if step.status not in {"", "ok"} or step.error:
        http = f"HTTP {step.http_status}" if step.http_status else ""
        sheet.text("ended", _joined(step.status, http, step.error), style.bad)
    if len(step.attempts) > 1:
        for each in step.attempts:
            text = f"{each.provider}/{each.upstream}"
            http = f"HTTP {each.status}" if each.status else ""
            took = show_duration(each.duration_us)
            sheet.text("tried", _joined(text, http, each.error, took), style.dim)
    cost = "" if step.status == "ok" or not step.status else dollars(step.cost_nano)
    overrun = int(step.overrun_nano)
    if overrun:
        cost = _joined(cost, f"{dollars(step.overrun_nano)} over what was set aside")
    sheet.text("used", _joined(_tokens(step.usage), cost, _time(step), step.finish), style.dim)
    sheet.text("left", _left(step.accounts), style.dim)


def _tokens(usage: Usage | None) -> str:
    if usage is None:
        return ""
    cached = [
        f"{count:,} {word}"
        for count, word in (
            (usage.cache_read_tokens, "cached"),
            (usage.cache_write_tokens, "written to the cache"),
        )
        if count
    ]
    inner = f" ({', '.join(cached)})" if cached else ""
    reasoning = f" ({usage.reasoning_tokens:,} reasoning)" if usage.reasoning_tokens else ""
    guess = ", estimated" if usage.estimated else ""
    return f"{usage.input_tokens:,} tokens in{inner}, {usage.output_tokens:,} out{reasoning}{guess}"


def _time(step: Step) -> str:
    if not step.duration_us:
        return ""
    first = f", first byte after {show_duration(step.first_byte_us)}" if step.is_stream else ""
    return show_duration(step.duration_us) + first


def _left(accounts: Iterable[AccountLine]) -> str:
    return _BETWEEN.join(
        f"{dollars(each.left_nano)} of {dollars(each.limit_nano)} {_account(each)}"
        for each in accounts
    )


def _account(line: AccountLine) -> str:
    if line.scope == line.per:
        return f"({line.scope})"
    return f"({line.scope}, {line.per})"


def _joined(*parts: str) -> str:
    return _BETWEEN.join(part for part in parts if part)
