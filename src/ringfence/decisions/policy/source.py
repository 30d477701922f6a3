"""Policy files as policies: every one of them, or what is wrong and where."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ringfence.decisions.policy import engine
from ringfence.decisions.policy.rule import Rule, read_rule
from ringfence.decisions.policy.scope import AUTONOMY, SCOPE
from ringfence.decisions.policy.text import Fault, Piece, cut, line_of
from ringfence.domain.error import UsageError

MAX_RULES = 1000
"""In all files of an organisation; every one is looked at for each new slice."""

_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/-]{0,99}")
_TAKEN = frozenset({SCOPE, AUTONOMY})


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """What the files hold: their policies in order, and every fault that was found."""

    rules: tuple[Rule, ...] = ()
    faults: tuple[Fault, ...] = ()


def read_source(files: Mapping[str, str]) -> Source:
    """Read every file, by name; a policy without `@id` is called `file.cedar#2`."""
    rules: dict[str, Rule] = {}
    faults: list[Fault] = []
    for file in sorted(files):
        for read in _read(file, files[file]):
            if isinstance(read, Fault):
                faults.append(read)
            elif read.id in rules:
                first = rules[read.id]
                what = f"a second policy is called `{read.id}`"
                help_ = f"the first stands in {first.source}:{first.line}"
                faults.append(Fault(file=file, line=read.line, what=what, help=help_))
            else:
                rules[read.id] = read
    if len(rules) > MAX_RULES:
        last = list(rules.values())[MAX_RULES]
        what = f"there are more than {MAX_RULES} policies"
        help_ = "write one policy for many resources: `resource in Server::…`, `… in Pattern::…`"
        faults.append(Fault(file=last.source, line=last.line, what=what, help=help_))
    return Source(rules=tuple(rules.values()), faults=tuple(faults))


def _read(file: str, text: str) -> Iterator[Rule | Fault]:
    for number, piece in enumerate(cut(text), 1):
        try:
            yield _rule(piece, file, f"{file}#{number}")
        except UsageError as error:
            line = line_of(piece, error.message)
            yield Fault(file=file, line=line, what=error.message, help=error.help)


def _rule(piece: Piece, file: str, name: str) -> Rule:
    (body,) = engine.parse(piece.text)
    rule = read_rule(body, name=name, source=file, line=piece.line, text=piece.text)
    if rule.id != name and (not _ID.fullmatch(rule.id) or rule.id in _TAKEN):
        raise UsageError(
            "policy_invalid",
            f"`{rule.id}` cannot be the id of a policy",
            help="use letters, digits and `._/-`, at most 100",
        )
    return rule
