"""Policies to start from, each with its cases; `ringfence policy init` copies them."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ringfence.config.definition.policy import SUFFIX as POLICIES
from ringfence.config.policy_case import SUFFIX as CASES
from ringfence.domain.error import UsageError

_PLACE = Path(__file__).parent / "library"


@dataclass(frozen=True, slots=True, kw_only=True)
class Starter:
    """One file of policies. `fills` are the words in it that stand for names of one's own."""

    name: str
    summary: str
    fills: tuple[str, ...] = ()


STARTERS: Mapping[str, Starter] = {
    each.name: each
    for each in (
        Starter(name="read-only", summary="An agent that changes nothing.", fills=("agent",)),
        Starter(
            name="money-movement",
            summary="A tool that moves money: bounds, consent, and never unattended.",
            fills=("tool", "amount", "agent"),
        ),
        Starter(
            name="external-messages",
            summary="A server that sends messages: customer data leaves with consent alone.",
            fills=("server", "agent"),
        ),
        Starter(
            name="data-deletion",
            summary="Whatever deletes asks; unattended it is refused.",
            fills=("agent", "server"),
        ),
        Starter(
            name="code-execution",
            summary="An agent that runs code: no network of its own, nothing a stranger wrote.",
            fills=("agent", "server"),
        ),
        Starter(
            name="bounded-support",
            summary="A support agent: for one person, in office hours, without sub-agents.",
            fills=("agent", "server", "model"),
        ),
    )
}


def write_starter(name: str, folder: Path, fills: Mapping[str, str]) -> Sequence[Path]:
    """Write the policies of this name and their cases into a folder; gives the files.

    Raises UsageError `policy_unknown`, `name_missing`, `already_exists` or `not_writable`.
    """
    starter = STARTERS.get(name)
    if starter is None:
        known = ", ".join(STARTERS)
        raise UsageError("policy_unknown", f"no starter is called `{name}`", help=f"known: {known}")
    missing = [f"--{each}" for each in starter.fills if not fills.get(each)]
    if missing:
        what = f"`{name}` needs {', '.join(missing)}"
        raise UsageError("name_missing", what, help="names of your own stand in its policies")
    stem = "-".join((name, *_parts(starter, fills)))
    texts = {
        folder / f"{stem}{suffix}": filled((_PLACE / f"{name}{suffix}").read_text("utf-8"), fills)
        for suffix in (POLICIES, CASES)
    }
    for path in texts:
        if path.exists():
            help_ = "edit it, or remove it first"
            raise UsageError("already_exists", f"`{path}` exists already", help=help_)
    try:
        for path, text in texts.items():
            path.write_text(text, encoding="utf-8")
    except OSError as error:
        why = (error.strerror or "").lower()
        raise UsageError("not_writable", f"`{folder}` cannot be written", help=why) from error
    return tuple(texts)


def filled(text: str, fills: Mapping[str, str]) -> str:
    """A starter with one's own names in it: `AGENT` becomes the agent, and so on."""
    for word, name in fills.items():
        if name:
            literal = name.replace("\\", r"\\")
            text = re.sub(rf"(?<![A-Z]){word.upper()}(?![A-Z])", literal, text)
    return text


def _parts(starter: Starter, fills: Mapping[str, str]) -> list[str]:
    """What tells two copies of a starter apart: the first name that it is about."""
    if starter.name == "data-deletion":
        return []
    return [re.sub(r"[^A-Za-z0-9._-]", "-", fills[starter.fills[0]])]
