import json
from pathlib import Path

from tests.api.plane import Plane, organisation

from ringfence.app.policy import judge_all, known_tools
from ringfence.domain.organisation import Configuration
from ringfence.domain.policy import PolicySource
from ringfence.domain.tool import ToolServer
from ringfence.domain.tool_source import ToolListing

_TEXT = (
    'forbid (principal, action == Action::"tool.call", resource == Tool::"files__read")\n'
    "when { context.arguments has bites };"
)
_TOOL = {"name": "read", "inputSchema": {"properties": {"bytes": {"type": "integer"}}}}


def _configuration(folder: str) -> Configuration:
    source = PolicySource(files={"a.cedar": _TEXT}, digest="", folder=folder)
    acme = organisation(tools={"files": ToolServer(name="files")}, policies=source)
    return Configuration(organisations={"acme": acme}, digest="")


def test_policies_are_judged_against_the_tools_that_are_known(tmp_path: Path) -> None:
    (tmp_path / "policies").mkdir()
    plane = Plane(tmp_path, *_configuration("policies").organisations.values())
    config = tmp_path / "ringfence.yaml"
    nothing = known_tools(plane.configuration, plane.tools)
    assert judge_all(_configuration("policies"), nothing, config).found() == ()
    raw = (json.dumps(_TOOL).encode(),)
    plane.tools.seen(ToolListing(organisation=plane.acme.id, source="files", raw=raw))
    known = known_tools(plane.configuration, plane.tools)
    (problem,) = judge_all(_configuration("policies"), known, config).found()
    assert problem.place.file == str(tmp_path / "policies" / "a.cedar")
    assert problem.place.line == 2
    assert "`bites`" in problem.what
    assert judge_all(_configuration("policies"), {}, config).found() == ()


def test_policies_of_a_further_organisation_stand_beside_its_file(tmp_path: Path) -> None:
    (tmp_path / "organisations" / "rules").mkdir(parents=True)
    plane = Plane(tmp_path, *_configuration("rules").organisations.values())
    raw = (json.dumps(_TOOL).encode(),)
    plane.tools.seen(ToolListing(organisation=plane.acme.id, source="files", raw=raw))
    known = known_tools(plane.configuration, plane.tools)
    (problem,) = judge_all(_configuration("rules"), known, tmp_path / "ringfence.yaml").found()
    assert problem.place.file == str(tmp_path / "organisations" / "rules" / "a.cedar")


def test_an_organisation_without_policies_needs_no_judging(tmp_path: Path) -> None:
    plain = Configuration(organisations={"acme": organisation()}, digest="")
    assert judge_all(plain, {}, tmp_path / "ringfence.yaml").found() == ()
