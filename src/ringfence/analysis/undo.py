"""What of a trace can be undone, in reverse order, and what cannot."""

from collections.abc import Callable, Collection, Mapping, Sequence
from fnmatch import fnmatchcase

import msgspec

from ringfence.analysis.branch import Step
from ringfence.analysis.follow_up import Missing, arguments
from ringfence.domain.action import ActionKind
from ringfence.domain.tool import ToolServer
from ringfence.domain.tool_rule import Compensation

_READ = "read"
_OK = "ok"
_UNKNOWN = "unknown"

Bodies = Callable[[str], tuple[bytes | None, bytes | None]]
"""By action what was asked, and the result as one JSON document, as far as they are stored."""


class Undo(msgspec.Struct, kw_only=True):
    """One action of a trace that changed something.

    `tool` and `arguments` (JSON text) are the call that undoes it. If there is none, or it needs
    none any more, `why` says so and `tool` is empty.
    """

    action: str
    resource: str
    time_us: str
    permission: str
    tool: str = ""
    arguments: str = ""
    why: str = ""


def undo(
    steps: Sequence[Step],
    servers: Mapping[str, ToolServer],
    bodies: Bodies,
    undone: Collection[str] = (),
) -> list[Undo]:
    """What undoes these steps, the last first; steps that only read are not among them.

    `undone` are actions that were undone from outside of the trace.
    """
    changed = [step for step in steps if _has_changed(step)]
    done = [(step.resource, (bodies(step.action)[0] or b"")) for step in changed]
    found: list[Undo] = []
    for at in range(len(changed) - 1, -1, -1):
        each = _undo(changed[at], servers, bodies)
        is_repeated = (each.tool, each.arguments.encode()) in done[at + 1 :]
        if each.tool and (is_repeated or each.action in undone):
            each.why, each.tool = "it was undone already", ""
        found.append(each)
    return found


def _has_changed(step: Step) -> bool:
    """Whether it may have had an effect: refused and failed before it was sent has none."""
    is_tool = step.kind == ActionKind.TOOL_CALL and not step.is_refused
    return is_tool and step.permission != _READ and step.status in {_OK, _UNKNOWN, "cut", "failed"}


def _undo(step: Step, servers: Mapping[str, ToolServer], bodies: Bodies) -> Undo:
    told = Undo(
        action=step.action,
        resource=step.resource,
        time_us=step.time_us,
        permission=step.permission,
    )
    server, _, name = step.resource.partition("__")
    rules = servers[server].rules.compensations if server in servers else ()
    rule = next((each for each in rules if fnmatchcase(name, each.pattern)), None)
    if rule is None:
        told.why = f"nothing is declared that undoes it (`compensation` of tool server `{server}`)"
    elif step.status != _OK or step.error:
        told.why = f"what came of it is not known ({step.error or step.status}): look first"
    else:
        _fill(told, rule, server, bodies(step.action))
    return told


def _fill(
    told: Undo, rule: Compensation, server: str, stored: tuple[bytes | None, bytes | None]
) -> None:
    asked, document = stored
    if asked is None or document is None:
        told.why = "what was asked or answered is not stored any more"
        return
    made = arguments(rule.undo, asked, document)
    if isinstance(made, Missing):
        told.why = f"the call that undoes it needs `{made.path}`, which is not there"
        return
    call = rule.undo.call
    told.tool = call if "__" in call else f"{server}__{call}"
    told.arguments = made.decode()
