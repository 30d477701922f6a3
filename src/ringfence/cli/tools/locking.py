"""Writing the lock file, and checking tools against it."""

import os
from pathlib import Path
from tempfile import NamedTemporaryFile

import msgspec

from ringfence.analysis import tool_lock
from ringfence.cli.connection import Connection, Place, connect
from ringfence.config.tool_lock import lock_path
from ringfence.domain.error import RingfenceError, UsageError
from ringfence.domain.tool import ToolDefinition, ToolState
from ringfence.protocols.tool_definition import read_definition

_PINNED = frozenset({ToolState.OK.value, ToolState.CHANGED.value, ToolState.REMOVED.value})


class Full(msgspec.Struct):
    """One tool with what is accepted of it and what is listed."""

    name: str
    server: str
    state: str
    why: str
    definition: str
    listed: str


class Locked(msgspec.Struct):
    """What has been done."""

    path: str
    tools: int
    servers: int
    accepted: list[str]
    left_out: list[str]
    is_in_force: bool


class Drifted(msgspec.Struct):
    """A tool that is not as it was accepted."""

    name: str
    state: str
    why: str


class Check(msgspec.Struct):
    """What a check has found; `problems` are why it could not look at everything."""

    tools: int
    drift: list[Drifted]
    problems: list[str]


def lock_tools(place: Place, accepted: tuple[str, ...], pin: str) -> Locked:
    """Accept tools, then write the lock file anew. Raises RingfenceError."""
    with connect(place) as plane:
        taken = [_accept(plane, name, pin) for name in accepted]
        tools = _all(plane)
        path = lock_path(_configuration(place))
        is_new = not path.exists()
        servers: dict[str, list[ToolDefinition]] = {}
        left_out: list[str] = []
        for each in tools:
            raw = each.definition
            if each.name in taken:
                raw = each.listed
            elif each.state not in _PINNED:
                left_out.append(each.name)
                continue
            if "/" not in each.server:  # what models' requests declare is nobody's to lock
                kept = servers.setdefault(each.server, [])
                kept += [read_definition(each.server, raw.encode())] if raw else []
        if is_new and accepted:
            return _done("", servers, taken, left_out, is_in_force=True)
        _write(path, tool_lock.write(servers))
        is_in_force = bool(accepted) and plane.is_running and _reload(plane)
    return _done(str(path), servers, taken, left_out, is_in_force=is_in_force)


def check_seen(place: Place) -> Check:
    """How every tool that was seen stands to what is accepted. Raises RingfenceError."""
    with connect(place) as plane:
        tools = _all(plane)
        path = lock_path(_configuration(place))
    problems = []
    if not tools:
        problems.append("no server has listed a tool: there is nothing to check")
    if path.exists():
        known = {each.name for each in tools}
        for server, raws in tool_lock.read(path.read_bytes()).items():
            names = [read_definition(server, raw).key.merged for raw in raws]
            gone = [name for name in names if name not in known]
            problems += [f"`{name}` is locked and was never seen" for name in gone]
    drift = [
        Drifted(name=each.name, state=each.state, why=each.why)
        for each in tools
        if each.state != ToolState.OK.value
    ]
    return Check(tools=len(tools), drift=drift, problems=problems)


def _done(
    path: str,
    servers: dict[str, list[ToolDefinition]],
    taken: list[str],
    left_out: list[str],
    *,
    is_in_force: bool,
) -> Locked:
    return Locked(
        path=path,
        tools=sum(map(len, servers.values())),
        servers=len(servers),
        accepted=taken,
        left_out=left_out,
        is_in_force=is_in_force,
    )


def _accept(plane: Connection, name: str, pin: str) -> str:
    plane.post("/tools/accept", {"name": name, "pin": pin})
    return name


def _all(plane: Connection) -> list[Full]:
    items = plane.listing("/tools", None, definitions="true")
    return [msgspec.json.decode(item, type=Full) for item in items]


def _configuration(place: Place) -> Path:
    """The file of the organisation that was asked about."""
    main = place.settings.config
    if place.organisation is None:
        return main
    further = main.parent / "organisations" / f"{place.organisation}.yaml"
    return further if further.exists() else main


def _reload(plane: Connection) -> bool:
    try:
        plane.post("/reload")
    except RingfenceError:
        return False
    return True


def _write(path: Path, data: bytes) -> None:
    """Whole or not at all. Raises UsageError `lock_unwritable`."""
    try:
        with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        Path(file.name).chmod(0o644)
        Path(file.name).replace(path)
    except OSError as error:
        raise UsageError(
            "lock_unwritable",
            f"the lock file `{path}` cannot be written: {error.strerror}",
            help="run the command where the configuration lies and may be written",
        ) from error
