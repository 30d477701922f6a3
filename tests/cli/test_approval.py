from dataclasses import replace

import pytest
from sqlalchemy import text
from tests.cli.installation import HOSTILE, Installation
from tests.decisions.test_approval import BINDING, held

from ringfence.decisions.approval import fingerprint
from ringfence.stores.state.store import open_state


@pytest.fixture
def waiting(stopped: Installation) -> Installation:
    """An installation in which a call `apr_1` with hostile arguments is held."""
    assert stopped.call("agent", "token", "triage").code == 0  # gives the organisation its id
    state = open_state(stopped.data)
    with state.database.read() as connection:
        organisation = connection.execute(text("SELECT id FROM organisations")).scalar_one()
    binding = replace(BINDING, organisation=organisation, arguments=f'"{HOSTILE}"'.encode())
    state.approvals.add(
        replace(held(), binding=binding, fingerprint=fingerprint(binding), expires_us=2**52)
    )
    state.close()
    return stopped


def test_a_held_call_is_listed_shown_approved_and_taken_back(waiting: Installation) -> None:
    assert "apr_1" in waiting.call("approval", "list").out
    shown = waiting.call("approval", "show", "apr_1")
    assert "wants        crm__refund" in shown.out
    assert "ringfence trace show inv_1" in shown.out
    assert "\x1b" not in shown.written
    assert "\u202e" not in shown.written
    assert (
        waiting.call("approval", "approve", "apr_1", "--comment", "ok").err == "apr_1: approved\n"
    )
    assert waiting.call("approval", "list").err == "nothing waits for an approval\n"
    assert waiting.call("approval", "deny", "apr_1").err == "apr_1: denied\n"
    [line] = waiting.call("approval", "list", "--state", "all", "--json").json()
    assert line["state"] == "denied"
    full = waiting.call("approval", "show", "apr_1", "--json").json()
    assert [each["approves"] for each in full["votes"]] == [True, False]
    assert full["votes"][0]["user"].startswith("cli:uid=")
    votes = waiting.call("audit", "query", "--json").out
    assert votes.count("approval.vote") == 2


def test_wrong_use_is_told(waiting: Installation) -> None:
    unknown = waiting.call("approval", "show", "apr_9")
    assert unknown.code == 2
    assert "ringfence approval list" in unknown.err
    stale = waiting.call("approval", "approve", "apr_1", "--fingerprint", "sha256:other")
    assert stale.code == 2
    assert "look again" in stale.err
    assert waiting.call("approval", "deny", "apr_1").code == 0
    over = waiting.call("approval", "approve", "apr_1")
    assert over.code == 2
    assert "denied" in over.err
