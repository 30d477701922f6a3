"""What a sandbox is to be, as plain data, and what may not be asked of one."""

import posixpath
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from ringfence.domain.agent import SandboxTier
from ringfence.domain.error import UsageError

PROXY_PORT: Final = 3128
GATEWAY_PORT: Final = 8484
_MIB: Final = 1024 * 1024

PROGRAMS: Final = "/usr/bin:/usr/local/bin:/bin"
"""Where programs of the host that are run outside are looked for: an agent can write in none."""

PROTECTED: Final = (
    ".git/hooks",
    ".git/config",
    ".git/config.worktree",
    ".claude",
    ".mcp.json",
    ".codex",
    ".cursor",
    ".gemini",
    ".opencode",
    ".opencode.json",
    "opencode.json",
    "opencode.jsonc",
    ".amazonq",
    ".continue",
    ".factory",
    ".kiro",
    ".openhands",
    ".qwen",
    ".windsurf",
    ".vscode",
    ".idea",
    ".devcontainer",
    ".zed",
    ".helix",
    ".husky",
    ".envrc",
    ".mise",
    ".mise.toml",
    "mise.toml",
)
"""What programs on the host run, or take their settings from, when somebody works there later.

Precedents: CVE-2026-25725 (`.claude/settings.json`), `core.fsmonitor` in `.git/config`.
"""
MASKED: Final = tuple(each for each in PROTECTED if not each.startswith(".git/config"))
"""Of these, where an empty folder does no harm: git gives up where its configuration is one."""


@dataclass(frozen=True, slots=True)
class Bind:
    """A file or folder of the host that the agent sees; `destination` is where, if elsewhere."""

    source: str
    destination: str = ""

    @property
    def seen(self) -> str:
        """The path by which the agent knows it."""
        return self.destination or self.source


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxFile:
    """A file that is made for the agent: in its home in every tier, elsewhere only in strict."""

    path: str
    content: bytes
    is_writable: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxLimits:
    """What one sandbox may use. None is without a bound of its own.

    `processes` counts threads too. `memory_bytes` is what all processes and folders in memory hold
    together, None a share of the machine's; only a control group can bound it. `address_bytes`
    bounds each process's address space (RLIMIT_AS), which programs that reserve much more than they
    use (Node, Java, Go) do not bear: give it only for others. `processor_percent` is what all may
    run together, 100 is one processor; only a control group can bound it. With `is_group_required`
    there is no sandbox without a control group. `seconds` is for whoever watches the sandbox.
    """

    seconds: int | None = None
    processes: int = 1024
    open_files: int = 8192
    file_bytes: int = 8192 * _MIB
    memory_bytes: int | None = None
    address_bytes: int | None = None
    temporary_bytes: int = 1024 * _MIB
    processor_percent: int | None = None
    is_group_required: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SandboxPlan:
    """All that is needed to start one sandbox; the environment is whole, nothing is inherited.

    Every path is absolute and normal. `home` is a folder in memory (strict) or a folder of the host
    that exists, belongs to the caller and is this sandbox's alone (reduced). `protected` are paths
    below the workspace that are read-only where they exist, `hidden` such that look empty; only
    strict can do either. `proxy` and `gateway` are the plane's listeners on the loopback, for
    reduced, which has no network of its own.
    """

    tier: SandboxTier
    command: tuple[str, ...]
    environment: Mapping[str, str]
    workspace: str
    directory: str = ""
    read_only: tuple[Bind, ...] = ()
    read_write: tuple[Bind, ...] = ()
    files: tuple[SandboxFile, ...] = ()
    hidden: tuple[str, ...] = ()
    protected: tuple[str, ...] = PROTECTED
    home: str = "/home/agent"
    limits: SandboxLimits = field(default_factory=SandboxLimits)
    is_interactive: bool = False
    proxy: tuple[str, int] | None = None
    gateway: tuple[str, int] | None = None
    identities: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    """Device and inode that a folder must have when it is put into the sandbox, by its source."""

    @property
    def start(self) -> str:
        """The folder in which the command starts."""
        return self.directory or self.workspace

    @property
    def writable(self) -> tuple[Bind, ...]:
        """What of the host the agent may change."""
        return (Bind(self.workspace), *self.read_write)


def check(plan: SandboxPlan) -> None:
    """Refuse what no sandbox can be. Raises UsageError `bad_sandbox_plan`; looks at nothing."""
    check_words(plan)
    _check_nesting(plan)


def check_words(plan: SandboxPlan) -> None:
    """The part of `check` that is about each word and path by itself."""
    if not plan.command:
        raise _bad("there is no command to run", "give one after `--`")
    for word in (*plan.command, *plan.environment, *plan.environment.values()):
        if "\0" in word:
            raise _bad("a NUL character stands in the command or its environment", "remove it")
    for name in plan.environment:
        if not name or "=" in name:
            raise _bad(f"`{name}` is not a variable's name", "rename it")
    binds = (*plan.read_only, *plan.writable)
    places = [path for bind in binds for path in (bind.source, bind.seen)]
    places += [plan.start, plan.home, *(made.path for made in plan.files)]
    for path in places:
        _check_path(path)
    for inner in (*plan.hidden, *plan.protected):
        if posixpath.normpath(inner) != inner or inner.startswith(("/", "..")) or inner == ".":
            raise _bad(f"`{inner}` is not a path below the workspace", "name one that is")


def _check_path(path: str) -> None:
    if not path.startswith("/") or posixpath.normpath(path) != path or path.startswith("//"):
        raise _bad(f"`{path}` is not an absolute, normal path", "give the full path without `..`")
    if path == "/":
        raise _bad("`/` cannot be given to a sandbox", "name the folders that the agent needs")


def _check_nesting(plan: SandboxPlan) -> None:
    """Nothing is mounted or made below what the agent may change (CVE-2026-87766)."""
    trees = [bind.seen for bind in plan.writable]
    inner = [bind.seen for bind in (*plan.read_only, *plan.writable)]
    inner += [made.path for made in plan.files if not is_below(made.path, plan.home)]
    inner.append(plan.home)
    for tree in trees:
        for path in inner:
            if path != tree and is_below(path, tree):
                what = f"`{path}` lies in `{tree}`, which the agent may change"
                raise _bad(what, "name a place outside of it, or only the outer one")
    if len(set(trees)) < len(trees):
        raise _bad("a folder is named twice", "name it once")
    for bind in plan.read_only:
        for writable in plan.writable:
            if is_below(bind.source, writable.source):
                what = f"`{bind.source}` lies in `{writable.source}`, which the agent may change"
                raise _bad(what, "name a source outside of it")


def is_below(path: str, folder: str) -> bool:
    """Whether a normal path is a folder or lies in it."""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def _bad(message: str, help_: str) -> UsageError:
    return UsageError("bad_sandbox_plan", message, help=help_)
