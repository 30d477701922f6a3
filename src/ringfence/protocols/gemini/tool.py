"""The tools that a Gemini request declares: functions of the agent, all else is the provider's.

Source: `Tool` of google-genai 3.4.0 (read 2026-11-21): `googleSearch`, `googleSearchRetrieval`,
`codeExecution`, `urlContext`, `googleMaps`, `fileSearch`, `mcpServers`, `enterpriseWebSearch`,
`retrieval`… `computerUse` is counted among them, because its actions are Google's own definitions.
"""

from ringfence.protocols import strict_json
from ringfence.protocols.field import Findings, feature
from ringfence.protocols.gemini.spelling import by_camel_case


def read_tools(raw: bytes) -> Findings:
    """Read a `tools` array: names of functions, and what the provider would run."""
    findings = Findings()
    tools = strict_json.parse(raw)
    if not isinstance(tools, list):
        strict_json.refuse("`tools` is not an array")
    for tool in tools:
        if not isinstance(tool, dict):
            strict_json.refuse("a tool is not an object")
        for name, value in by_camel_case(tool).items():
            if name == "functionDeclarations":
                findings.tools += _function_names(value)
            elif value is not None:
                findings.hosted.append(feature(name))
    return findings


def _function_names(declarations: object) -> list[str]:
    if declarations is None:
        return []
    if not isinstance(declarations, list):
        strict_json.refuse("`functionDeclarations` is not an array")
    return [_name(declaration) for declaration in declarations]


def _name(declaration: object) -> str:
    name = declaration.get("name") if isinstance(declaration, dict) else None
    if not isinstance(name, str):
        strict_json.refuse("a function declaration has no `name`")
    return name
