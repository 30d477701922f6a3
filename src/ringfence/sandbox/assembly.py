"""From what was ordered and granted to the plan of a sandbox."""

import hashlib
import os
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import msgspec

from ringfence.domain.agent import SandboxRules, SandboxTier
from ringfence.domain.sandbox import SandboxGrant
from ringfence.sandbox import listener, trust_store
from ringfence.sandbox.environment import Surroundings, Trust, environment
from ringfence.sandbox.plan import Bind, SandboxFile, SandboxLimits, SandboxPlan, is_below
from ringfence.sandbox.program import Program

HOME: Final = "/home/agent"
_PLACE: Final = "/run/ringfence"
"""Where the strict tier has our own files; a folder in memory of the sandbox's own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Setup:
    """What a known agent needs to work behind the gateways: variables, files, another command.

    An empty `command` leaves it as it was given.
    """

    environment: Mapping[str, str] = field(default_factory=dict)
    files: tuple[SandboxFile, ...] = ()
    command: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """What is to be run: `workspace` and `directory` are absolute, `program` is the command's.

    With `tells_builtins` its shells are asked to tell of their own commands.
    """

    command: tuple[str, ...]
    workspace: str
    directory: str
    program: Program | None = None
    is_interactive: bool = False
    tells_builtins: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """Where a sandbox's things are, as its programs see them."""

    tier: SandboxTier
    home: str
    place: str
    gateway: tuple[str, int]
    proxy: tuple[str, int] | None
    folders: tuple[str, ...] = ()
    """Where the command works: the directory it starts in, and the workspace."""


def scene(
    tier: SandboxTier, folder: str, gateway: tuple[str, int], proxy: tuple[str, int] | None
) -> Scene:
    """The places of a tier; `folder` is a folder of this run alone, for tiers that see the host's.

    In the strict tier the listeners are always at the same addresses.
    """
    if tier is SandboxTier.STRICT:
        return Scene(
            tier=tier, home=HOME, place=_PLACE, gateway=listener.GATEWAY, proxy=listener.PROXY
        )
    home = f"{folder}/home"
    return Scene(tier=tier, home=home, place=f"{home}/.ringfence", gateway=gateway, proxy=proxy)


def plan(
    grant: SandboxGrant, task: Task, where: Scene, setup: Setup, caller: Mapping[str, str]
) -> SandboxPlan:
    """Everything that a tier's `prepare` needs; `caller` is our own environment."""
    trust, files = _trust(grant, where)
    folders = task.program.folders if task.program is not None else ()
    if where.tier is SandboxTier.REDUCED:  # what a folder's links lead to is all that is granted
        folders = tuple(os.path.realpath(each) for each in folders)
    around = Surroundings(
        tier=where.tier,
        home=where.home,
        gateway=where.gateway,
        proxy=where.proxy if grant.ca_pem else None,
        paths=folders,
        trust=trust,
    )
    return SandboxPlan(
        tier=where.tier,
        command=setup.command or task.command,
        environment={**environment(grant, around, caller), **setup.environment},
        workspace=task.workspace,
        directory=task.directory,
        read_only=_shown(grant.rules, task, where),
        read_write=tuple(Bind(each) for each in grant.rules.read_write),
        hidden=grant.rules.hidden,
        files=(*files, *setup.files),
        home=where.home,
        limits=_limits(grant),
        is_interactive=task.is_interactive,
        proxy=where.proxy if where.tier is not SandboxTier.STRICT else None,
        gateway=where.gateway if where.tier is not SandboxTier.STRICT else None,
    )


def _shown(rules: SandboxRules, task: Task, where: Scene) -> tuple[Bind, ...]:
    """What the agent's owner shows it, and what its command came with where that is not in it.

    Only strict has a view of files of its own; elsewhere the agent follows links by itself.
    """
    own = task.program.binds if task.program is not None else ()
    if where.tier is not SandboxTier.STRICT:
        own = tuple(dict.fromkeys(Bind(each.source) for each in own))
    seen = (*rules.read_only, *rules.read_write)
    more = (each for each in own if not any(is_below(each.seen, at) for at in seen))
    return (*(Bind(each) for each in rules.read_only), *more)


def _limits(grant: SandboxGrant) -> SandboxLimits:
    rules = grant.rules
    return SandboxLimits(
        seconds=grant.seconds,
        processes=rules.processes,
        file_bytes=rules.file_bytes,
        memory_bytes=rules.memory_bytes,
        address_bytes=rules.address_bytes,
        temporary_bytes=rules.temporary_bytes,
        processor_percent=rules.processor_percent,
        is_group_required=rules.is_group_required,
    )


def digest(of: SandboxPlan) -> str:
    """The SHA-256 of a plan without its secrets, in hexadecimal: equal plans are equally made."""
    shown = {
        "tier": of.tier.value,
        "command": of.command,
        "variables": sorted(of.environment),
        "workspace": of.workspace,
        "directory": of.start,
        "binds": binds(of),
        "files": sorted(each.path for each in of.files),
        "hidden": of.hidden,
        "protected": of.protected,
        "limits": msgspec.to_builtins(of.limits),
        "is_interactive": of.is_interactive,
    }
    return hashlib.sha256(msgspec.json.encode(shown, order="sorted")).hexdigest()


def binds(of: SandboxPlan) -> tuple[str, ...]:
    """What of the machine beyond the system's programs is in it, for the record."""
    return (
        *(f"ro {_named(each)}" for each in of.read_only),
        *(f"rw {_named(each)}" for each in of.writable),
    )


def run_folder() -> str:
    """A folder of this run alone, for its owner alone; whoever makes it removes it."""
    return os.path.realpath(tempfile.mkdtemp(prefix="ringfence-run-"))


def _named(bind: Bind) -> str:
    return bind.source if bind.seen == bind.source else f"{bind.source} as {bind.seen}"


def _trust(grant: SandboxGrant, where: Scene) -> tuple[Trust, tuple[SandboxFile, ...]]:
    """The files by which programs trust what is intercepted, and where they are."""
    if not grant.ca_pem or where.tier is SandboxTier.NONE:  # there nothing is intercepted
        return Trust(), ()
    own = grant.ca_pem.encode()
    bundle = trust_store.joined(trust_store.system_bundle(), own)
    files = [
        SandboxFile(path=f"{where.place}/roots.pem", content=bundle),
        SandboxFile(path=f"{where.place}/own.pem", content=own),
    ]
    java = ""
    if shutil.which("java") is not None:
        java = f"{where.place}/roots.p12"
        files.append(SandboxFile(path=java, content=trust_store.java_store(bundle)))
    if where.tier is SandboxTier.STRICT:
        files += [
            SandboxFile(path=each, content=bundle)
            for each in trust_store.BUNDLES
            if os.path.isfile(each)  # noqa: PTH113 (text, like its neighbours)
        ]
    trust = Trust(bundle=files[0].path, own=files[1].path, java=java)
    return trust, tuple(files)
