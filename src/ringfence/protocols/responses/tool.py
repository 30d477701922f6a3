"""The tools that a Responses request declares: who runs each, and what it brings along."""

from enum import Enum, auto
from typing import Final

from ringfence.domain.exchange import Feature
from ringfence.protocols import strict_json
from ringfence.protocols.field import Findings, Meaning
from ringfence.protocols.strict_json import Span


class Runner(Enum):
    """Who runs a tool."""

    NAMED = auto()
    """The client, by a name of its own."""
    CLIENT = auto()
    """The client, by the name of the type."""
    GROUP = auto()
    """It holds further tools."""
    PROVIDER = auto()
    """The provider."""
    EITHER = auto()
    """The provider, unless the tool says otherwise."""


TYPES: Final = {
    "function": (Runner.NAMED, "the client's own function"),
    "custom": (Runner.NAMED, "the client's own function with free text"),
    "namespace": (Runner.GROUP, "functions of the client under a common name"),
    "local_shell": (Runner.CLIENT, "the client runs the commands"),
    "apply_patch": (Runner.CLIENT, "the client applies the patch"),
    "computer": (Runner.CLIENT, "the client moves the pointer; screenshots come as images"),
    "computer_use_preview": (Runner.CLIENT, "as `computer`, older name"),
    "shell": (Runner.EITHER, "runs in a container of the provider unless it says `local`"),
    "tool_search": (Runner.EITHER, "runs at the provider unless it says `client`"),
    "programmatic_tool_calling": (Runner.PROVIDER, "the provider runs a program of the model"),
    "web_search": (Runner.PROVIDER, "searches and reads pages, paid per search"),
    "web_search_preview": (Runner.PROVIDER, "as `web_search`, older name"),
    "file_search": (Runner.PROVIDER, "reads stores at the provider, paid per search"),
    "code_interpreter": (Runner.PROVIDER, "runs code in a container, paid per session"),
    "image_generation": (Runner.PROVIDER, "a second model, paid by itself"),
    "mcp": (Runner.PROVIDER, "the provider calls a server, past the tool gateway"),
}
"""Every type of the openai SDK 3.52.0. Dated types and unknown ones are the provider's."""

_NAMES: Final = frozenset({"type", "name", "tools", "environment", "execution"})
_OBJECT_NAMES: Final = frozenset(
    {"container", "container_id", "file_id", "file_ids", "skill_id", "vector_store_ids"}
)
_DETAILS: Final = ("server_url", "connector_id", "tunnel_id", "server_label", "model")
"""What says most about a hosted tool, in this order."""


def read_tools(raw: bytes) -> Findings:
    """Read a `tools` array: names of client-side tools, and what the provider would run."""
    findings = Findings()
    _read_array(raw, (0, len(raw)), "", findings)
    return findings


def _read_array(raw: bytes, span: Span, prefix: str, findings: Findings) -> None:
    for start, end in strict_json.elements(raw, *span, strict_json.MAX_NAMES):
        found = strict_json.spans_within(raw, start, end)
        strict_json.refuse_lookalikes(found, _NAMES)
        kind = _text(raw, found, "type")
        match TYPES.get(kind, (Runner.PROVIDER, ""))[0]:
            case Runner.NAMED:
                findings.tools.append(prefix + _text(raw, found, "name"))
            case Runner.CLIENT:
                findings.tools.append(kind)
            case Runner.GROUP:
                if prefix:  # each level is read anew, so that depth would cost its square
                    strict_json.refuse("a `namespace` stands within another one")
                if "tools" not in found:
                    strict_json.refuse("a tool of type `namespace` has no `tools`")
                inner = _text(raw, found, "name") + "."
                _read_array(raw, found["tools"], inner, findings)
            case Runner.PROVIDER | Runner.EITHER:
                _read_hosted(kind, strict_json.parse(raw[start:end]), findings)


def _read_hosted(kind: str, tool: object, findings: Findings) -> None:
    members = tool if isinstance(tool, dict) else {}
    environment = members.get("environment")
    is_local = isinstance(environment, dict) and environment.get("type") == "local"
    runs_here = (kind == "shell" and is_local) or (
        kind == "tool_search" and members.get("execution") == "client"
    )
    if runs_here:
        findings.tools.append(kind)
        return
    details = [members[name] for name in _DETAILS if isinstance(members.get(name), str)]
    findings.hosted.append(Feature(kind, details[0][:200] if details else ""))
    if kind != "mcp":
        _note_objects(members, findings)


def _note_objects(value: object, findings: Findings) -> None:
    """Note what the tool names at the provider, at any depth."""
    if isinstance(value, list):
        for item in value:
            _note_objects(item, findings)
    elif isinstance(value, dict):
        for name, inner in value.items():
            if name in _OBJECT_NAMES and not isinstance(inner, dict):
                findings.add(Meaning.OBJECT, name, inner)
            else:
                _note_objects(inner, findings)


def _text(raw: bytes, found: dict[str, Span], name: str) -> str:
    if name not in found:
        strict_json.refuse(f"a tool has no `{name}`")
    start, end = found[name]
    return strict_json.text(raw[start:end], name)
