"""Who may use which secret, and what of that cannot be or has no effect."""

import shutil
from collections.abc import Iterable, Mapping
from itertools import combinations
from pathlib import Path
from typing import Final

from ringfence.config.problem import shown
from ringfence.config.section import Section
from ringfence.decisions.destination import in_scope
from ringfence.decisions.injection import slot_of
from ringfence.domain.agent import Agent
from ringfence.domain.destination import Destination
from ringfence.domain.secret import (
    FromCommand,
    FromFile,
    SecretBinding,
    SecretDefinition,
    parted,
    secret_of,
)

_BY_EVERYBODY: Final = 0o004


def read_use(section: Section, secrets: Mapping[str, object]) -> frozenset[str]:
    """Read `secrets` of an agent: the names of those it may use."""
    items = section.distinct("secrets")
    return frozenset(item.value for item in items if section.reference(item, "secret", secrets))


def check_use(
    agents: Iterable[Agent], secrets: Mapping[str, SecretDefinition], root: Section
) -> None:
    """Judge agents and secrets together.

    No agent may have two secrets of which a request could need either in the same place. What can
    never be used, and what others can read, is noted.
    """
    used: set[str] = set()
    for agent in agents:
        mine = [secrets[name] for name in sorted(agent.secrets) if name in secrets]
        used.update(each.name for each in mine)
        for first, second in combinations(mine, 2):
            if any(_collide(a, b) for a in first.bindings for b in second.bindings):
                what = (
                    f"agent {shown(agent.name)} has two secrets for the same requests: "
                    f"{shown(first.name)} and {shown(second.name)}"
                )
                help_ = "bind them to other paths or methods, or give the agent one of them"
                root.problem(root.at("agents"), what, help_)
        for each in mine:
            _note_unreachable(agent, each, root)
    used.update(each.minting.client_secret for each in secrets.values() if each.minting)
    used.update(
        secret_of(name) for key in root.reading.uses for _, name in [parted(key) or ("", "")]
    )
    for each in secrets.values():
        if each.name not in used:
            what = f"nobody uses the secret {shown(each.name)}"
            help_ = "name it under an agent's `secrets`, or in a `credential`"
            root.reading.notes.add(root.at("secrets"), what, help_)
        _note_absent(each, root)
        _note_exposed(each, root)


def _note_unreachable(agent: Agent, secret: SecretDefinition, root: Section) -> None:
    if not secret.bindings:
        what = f"agent {shown(agent.name)} may use the secret {shown(secret.name)}, which has no"
        root.reading.notes.add(root.at("secrets"), f"{what} `bind`", "say which requests it is for")
    for binding in secret.bindings:
        there = Destination(scheme="https", host=binding.host, port=binding.port)
        if in_scope(agent, there) is not None:
            what = (
                f"agent {shown(agent.name)} may not reach {shown(there.resource)}, which its secret"
                f" {shown(secret.name)} is for"
            )
            help_ = f"add `{binding.host}` to its `hosts`"
            root.reading.notes.add(root.at("agents"), what, help_)


def _note_absent(secret: SecretDefinition, root: Section) -> None:
    """A start would stop at it; the file may well be judged on another machine."""
    match secret.origin:
        case FromFile(path=path) if not Path(path).is_file():
            what = f"the file of the secret {shown(secret.name)} is not here: {shown(path)}"
            root.reading.notes.add(root.at("secrets"), what, "no plane starts here without it")
        case FromCommand(command=(program, *_)) if shutil.which(program) is None:
            what = f"the program of the secret {shown(secret.name)} is not here: {shown(program)}"
            root.reading.notes.add(root.at("secrets"), what, "no plane starts here without it")
        case _:
            pass


def _note_exposed(secret: SecretDefinition, root: Section) -> None:
    """Only what everybody can read: an orchestrator's mounts are often their group's too."""
    if not isinstance(secret.origin, FromFile):
        return
    try:
        is_exposed = Path(secret.origin.path).stat().st_mode & _BY_EVERYBODY
    except OSError:
        return  # said when it is read
    if is_exposed:
        what = f"everybody on this machine can read the file of the secret {shown(secret.name)}"
        root.reading.notes.add(root.at("secrets"), what, "chmod o= it")


def _collide(a: SecretBinding, b: SecretBinding) -> bool:
    is_same = (a.host, a.port, a.path.rstrip("/")) == (b.host, b.port, b.path.rstrip("/"))
    overlap = not a.methods or not b.methods or set(a.methods) & set(b.methods)
    return is_same and bool(overlap) and slot_of(a.location) == slot_of(b.location)
