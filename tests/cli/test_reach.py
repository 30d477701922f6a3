import io

import pytest
from tests.cli.installation import Installation

from ringfence.analysis.reach import ASK, SOMETIMES, Declared, Right, reach
from ringfence.cli.reach import _View, reach_lines
from ringfence.cli.terminal.style import Style
from ringfence.domain.action import ActionKind


def test_a_stopped_plane_tells_what_an_agent_could_do(stopped: Installation) -> None:
    result = stopped.call("agent", "reach", "triage")
    assert result.code == 0
    assert "small" in result.out
    assert "git" in result.out
    assert "declared and not used: models small, commands git" in result.out
    found = stopped.call("agent", "reach", "triage", "--since", "1h", "--json").json()
    assert found["agent"] == "triage"
    assert stopped.call("agent", "reach", "ghost").code == 2


@pytest.mark.parametrize("hostile", ["\x1b[31m", "plain"])
def test_dangers_and_ways_without_a_gate_are_told(hostile: str) -> None:
    kind = ActionKind.TOOL_CALL
    rights = [
        Right(kind=kind, name=f"crm__get{hostile}", tier="read", gate=ASK, labels=("pii",)),
        Right(kind=kind, name="crm__wipe", tier="write", gate=SOMETIMES),
        Right(kind=kind, name="crm__send", tier="irreversible", gate=SOMETIMES, by=("night",)),
    ]
    found = reach("triage", rights, [("tools", "crm__*")])
    assert found.unused == (Declared(key="tools", pattern="crm__*", rights=3, uses=0),)
    view = _View(agent="triage", since_us="0", reach=found, unlisted=["mail"])
    text = "\n".join(reach_lines(view, Style.of(io.StringIO())))
    assert "triage → crm__send: gated only by night" in text
    assert "sounds irreversible, and no list says so: crm__wipe" in text
    assert "private data can be sent away" in text
    assert "the tools of `mail` were never listed" in text
    assert "\x1b" not in text
