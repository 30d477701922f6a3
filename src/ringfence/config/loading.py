"""From files to one checked, frozen configuration."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec

from ringfence.config import tree
from ringfence.config.definition.agent import read_agents
from ringfence.config.definition.alert import read_alerts
from ringfence.config.definition.approval import read_approvals
from ringfence.config.definition.egress import read_egress
from ringfence.config.definition.issuer import read_issuers
from ringfence.config.definition.model import read_models
from ringfence.config.definition.organisation import read_heading, read_teams
from ringfence.config.definition.policy import judge_policies, read_policies
from ringfence.config.definition.provider import read_providers
from ringfence.config.definition.secret import read_secrets
from ringfence.config.definition.secret_use import check_use
from ringfence.config.definition.tool import read_servers
from ringfence.config.definition.user import read_users
from ringfence.config.problem import Place, Problem, Problems, shown
from ringfence.config.reading import Reading, SecretUse
from ringfence.config.reference import check_fallbacks, note_budgets
from ringfence.config.section import Section
from ringfence.config.tool_lock import read_lock
from ringfence.domain.organisation import Configuration, Organisation

_FORMAT = "1"
_LARGEST_BYTES = 4 * 1024 * 1024
_FOLDER = "organisations"


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A usable configuration.

    `secret_names` are the environment variables that hold secrets, `secret_uses` the secrets that
    the plane itself uses, by key; `notes` are worth saying and stop nothing.
    """

    configuration: Configuration
    secret_names: frozenset[str]
    secret_uses: Mapping[str, SecretUse]
    notes: Sequence[Problem]


def load(path: Path, environment: Mapping[str, str]) -> Loaded:
    """Read `path` and the files in `organisations/` beside it, and check them as a whole.

    Raises ConfigurationError with every problem that was found.
    """
    problems, notes = Problems(), Problems(most=None)
    secret_names: dict[str, Path] = {}
    uses: dict[str, SecretUse] = {}
    organisations: dict[str, Organisation] = {}
    files: dict[str, str] = {}
    for file in (path, *_further_files(path, problems)):
        reading = Reading(environment, problems, notes)
        organisation = _read_file(file, reading)
        _note_shared(file, reading.secret_names, secret_names, notes)
        uses |= reading.uses
        if organisation is None:
            continue
        if organisation.name in files:
            what = "this organisation is defined twice"
            help_ = f"it stands in {files[organisation.name]} too"
            problems.add(reading.places["organisation",], what, help_)
        files.setdefault(organisation.name, str(file))
        organisations[organisation.name] = replace(organisation, digest=_digest(organisation))
    problems.check()
    return Loaded(
        configuration=Configuration(organisations=organisations, digest=_digest(organisations)),
        secret_names=frozenset(secret_names),
        secret_uses=uses,
        notes=notes.found(),
    )


def _note_shared(file: Path, names: set[str], known: dict[str, Path], notes: Problems) -> None:
    """Note each secret that another organisation's file names too: it would be one for both."""
    for name in sorted(names):
        first = known.setdefault(name, file)
        if first is not file:
            what = f"the secret in `{name}` is that of the organisation in {first.name} too"
            notes.add(Place(str(file)), what, "give each organisation a variable of its own")


def _further_files(path: Path, problems: Problems) -> Sequence[Path]:
    folder = path.parent / _FOLDER
    try:
        if not folder.is_dir():
            return ()
        files = sorted(file for file in folder.iterdir() if not file.name.startswith("."))
    except OSError as error:
        problems.add(Place(str(folder)), "cannot be read", (error.strerror or "").lower())
        return ()
    for file in files:
        if file.suffix == ".yml":
            problems.add(Place(str(file)), "would not be read", f"name it {file.stem}.yaml")
    return [file for file in files if file.suffix == ".yaml"]


def _read_file(path: Path, reading: Reading) -> Organisation | None:
    text = _read_text(path, reading.problems)
    node = None if text is None else tree.parse(text, str(path), reading.problems)
    if node is None:
        return None
    if not isinstance(node, tree.Table):
        reading.problems.add(
            node.place, "the configuration must be a mapping", "begin with `format: 1`"
        )
        return None
    root = Section(node, "the configuration", reading)
    if not _is_this_format(root):
        return None
    organisation = replace(
        _read_organisation(root, path.parent), tool_lock=read_lock(path, reading)
    )
    root.close()
    check_fallbacks(organisation.models, organisation.providers, reading)
    if organisation.policies is not None:
        place = path.parent / organisation.policies.folder
        judge_policies(organisation, place, reading.problems)
    note_budgets(organisation, reading)
    reading.places["organisation",] = root.at("organisation")
    return organisation


def _read_text(path: Path, problems: Problems) -> str | None:
    what, help_ = "", ""
    try:
        if path.is_dir():
            what, help_ = "is a folder", "name the file itself"
        elif not path.exists():
            what, help_ = "no such file", "`ringfence init` writes a starter"
        elif not path.is_file():
            what = "is not a regular file"
        else:
            with path.open("rb") as file:
                data = file.read(_LARGEST_BYTES + 1)
            if len(data) <= _LARGEST_BYTES:
                return data.decode("utf-8-sig")
            what, help_ = "is too large", f"at most {_LARGEST_BYTES // 1024**2} MiB"
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        problems.add(Place(str(path), line, 1), "is not UTF-8", "save the file as UTF-8")
        return None
    except OSError as error:
        what, help_ = "cannot be read", (error.strerror or "").lower()
    problems.add(Place(str(path)), what, help_)
    return None


def _is_this_format(root: Section) -> bool:
    if "format" not in root:
        root.problem(root.place, "has no `format`", "begin with `format: 1`")
        return False
    item = root.item("format")
    if item and item.value != _FORMAT:
        what = f"unknown format {shown(item.written)}"
        root.problem(item.place, what, f"this version reads format {_FORMAT}")
    return item is not None and item.value == _FORMAT


def _read_organisation(root: Section, folder: Path) -> Organisation:
    heading = read_heading(root)
    secrets = read_secrets(root, folder)
    root.reading.organisation, root.reading.secrets = heading.name, secrets
    agents = read_agents(root)
    organisation = Organisation(
        name=heading.name,
        timezone=heading.timezone,
        environment=heading.environment,
        budgets=heading.budgets,
        default_user=heading.default_user,
        retention=heading.retention,
        masking=heading.masking,
        teams=read_teams(root),
        users=read_users(root),
        issuers=read_issuers(root, folder),
        secrets=secrets,
        providers=read_providers(root),
        models=read_models(root),
        tools=read_servers(root),
        agents=agents,
        policies=read_policies(root, folder),
        alerts=read_alerts(root),
        approvals=read_approvals(root),
        egress=read_egress(root, folder),
    )
    check_use(agents.values(), secrets, root)
    return organisation


def _digest(content: Organisation | Mapping[str, Organisation]) -> str:
    canonical = msgspec.json.encode(content, order="sorted")
    return f"sha256:{hashlib.sha256(canonical).hexdigest()}"
