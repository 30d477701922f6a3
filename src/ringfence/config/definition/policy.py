"""The folder of policy files: read, understood and judged before any of them holds."""

import hashlib
import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from ringfence.config.problem import Place, Problems, shown
from ringfence.config.section import Section
from ringfence.decisions.policy.source import read_source
from ringfence.decisions.policy.text import Fault
from ringfence.decisions.policy.validation import validate
from ringfence.domain.organisation import Organisation
from ringfence.domain.policy import PolicySource, ToolFacts

SUFFIX = ".cedar"

_PATH = re.compile(r"[^\x00-\x1f\x7f]{1,1024}")
_LARGEST_BYTES = 1024 * 1024
_MOST_FILES = 500
_NO_TOOLS: Mapping[str, ToolFacts] = {}


def read_policies(root: Section, folder: Path) -> PolicySource | None:
    """Read `policies`: a folder, relative to the file that names it, with all folders in it."""
    item = root.item("policies")
    if item is None or not (path := root.text("policies", pattern=_PATH)):
        return None
    place = folder / path
    try:
        if not place.is_dir():
            what = f"no policies folder {shown(item.written)}"
            root.problem(item.place, what, "make it, or remove the key")
            return None
        files = _read_files(place, root.reading.problems)
    except OSError as error:
        what = f"policies folder {shown(item.written)} cannot be read"
        root.problem(item.place, what, (error.strerror or "").lower())
        return None
    source = PolicySource(files=files, digest=digest_of(files), folder=path)
    note_faults(place, read_source(files).faults, root.reading.problems)
    return source


def judge_policies(
    organisation: Organisation,
    folder: Path,
    problems: Problems,
    tools: Mapping[str, ToolFacts] = _NO_TOOLS,
) -> tuple[str, ...]:
    """Note everything in the policies that does not fit what is defined, and the tools known.

    `folder` is that of the policies. Gives the ids of those whose tools nobody has listed yet.
    """
    source = organisation.policies
    if source is None:
        return ()
    judged = validate(read_source(source.files).rules, organisation, tools)
    note_faults(folder, judged.faults, problems)
    return judged.unchecked


def policies_folder(source: PolicySource, config: Path) -> Path:
    """Where policies stand: beside the configuration, or beside a further organisation's file."""
    beside = config.parent / source.folder
    return beside if beside.is_dir() else config.parent / "organisations" / source.folder


def note_faults(folder: Path, faults: Iterable[Fault], problems: Problems) -> None:
    """Note faults where they stand, in the folder of policies."""
    for fault in faults:
        problems.add(Place(str(folder / fault.file), fault.line, 1), fault.what, fault.help)


def digest_of(files: Mapping[str, str]) -> str:
    """`sha256:…` over names and texts."""
    parts = (part for name in sorted(files) for part in (name, files[name]))
    return f"sha256:{hashlib.sha256(chr(0).join(parts).encode()).hexdigest()}"


def _read_files(folder: Path, problems: Problems) -> dict[str, str]:
    files: dict[str, str] = {}
    found = [each for each in folder.rglob("*") if each.suffix.lower() == SUFFIX]
    for path in sorted(found)[:_MOST_FILES]:
        if path.suffix != SUFFIX:
            help_ = f"name it {path.stem}{SUFFIX}"
            problems.add(Place(str(path)), "would not be read", help_)
            continue
        text = _read_text(path, problems)
        if text is not None:
            files[path.relative_to(folder).as_posix()] = text
    if len(found) > _MOST_FILES:
        problems.add(Place(str(folder)), f"holds more than {_MOST_FILES} policy files")
    return files


def _read_text(path: Path, problems: Problems) -> str | None:
    try:
        with path.open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
        if len(data) > _LARGEST_BYTES:
            problems.add(Place(str(path)), "is too large", "at most 1 MiB")
            return None
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problems.add(Place(str(path), line, 1), "is not UTF-8", "save the file as UTF-8")
    except OSError as error:
        problems.add(Place(str(path)), "cannot be read", (error.strerror or "").lower())
    return None
