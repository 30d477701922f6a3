"""The refusal table is whole, and `docs/refusals.md` shows exactly what it says."""

import os
from pathlib import Path

import pytest

from ringfence.domain.model import Dialect
from ringfence.domain.verdict import Code
from ringfence.protocols.refusal import expected_requests, expected_requests_after_stop
from ringfence.protocols.refusal_table import FIGURES, FRAMEWORK_TRIES, QUIRKS, ROWS, Client

PAGE = Path(__file__).parents[2] / "docs" / "refusals.md"
KNOWN = [client for client in Client if client is not Client.UNKNOWN]

INTRODUCTION = """\
# Refusals

What a client receives when Ringfence does not let a call through. This page is made from the table
in `src/ringfence/protocols/refusal_table.py`; to refresh it, run
`RINGFENCE_REFRESH=1 pytest tests/protocols/test_refusal_table.py`.

Every refusal has the error form of the caller's dialect, a message that the model can act on, and
under `error.ringfence` its code and the facts for programs. A final refusal carries
`x-should-retry: false`; one that may pass later carries `retry-after`.

A command in a sandbox ([shell](shell.md)) has no such form: it fails with `EACCES`, whatever the
code, and the message is on its standard error.
"""

MEASURED = """\
Measured on 2026-11-21 with openai 3.52.0, anthropic 2.11.0, Claude Code 2.1.329, claude-agent-sdk
0.2.186, Codex 0.169.0, Copilot CLI 1.0.102, opencode 1.18.33 and Gemini CLI 0.61.0; read in the
source of google-genai 3.4.0. A dash means that no exact count is known.
"""


def page() -> str:
    return "\n".join(
        [INTRODUCTION, *reasons(), "", *quirks(), "", MEASURED, *figures(), "", *stops(), ""]
    )


def reasons() -> list[str]:
    lines = ["## Reasons", "", table("code", "status", "type", "Google status", "retry", "why")]
    for code, row in ROWS.items():
        retry = "never" if row.retry_after_s is None else f"after {row.retry_after_s:g} s"
        lines.append(line(f"`{code}`", row.status, row.kind, row.google, retry, row.why))
    return lines


def quirks() -> list[str]:
    lines = [
        "## Clients that need another status",
        "",
        table("client", "final status", "5xx", "why"),
    ]
    for client, quirk in QUIRKS.items():
        statuses = ", ".join(f"{a} → {b}" for a, b in quirk.final.items())
        told = "told not to retry" if quirk.impatient else "as the table says"
        lines.append(line(client, statuses, told, quirk.why))
    return lines


def figures() -> list[str]:
    lines = ["## Requests a client sends for one refused call", "", table("code", *KNOWN)]
    for code in Code:
        counts = (expected_requests(code, client) for client in KNOWN)
        lines.append(line(f"`{code}`", *("–" if count is None else count for count in counts)))
    tries = ", ".join(f"{name} {count} times" for name, count in FRAMEWORK_TRIES.items())
    return [*lines, "", f"Frameworks that repeat whatever their SDK reports: {tries}."]


def stops() -> list[str]:
    lines = ["## Requests a client sends for one call stopped in mid-stream", ""]
    lines.append(table("dialect", "client", "requests"))
    for dialect in Dialect:
        for client in KNOWN:
            count = expected_requests_after_stop(dialect, client)
            if count is not None:
                lines.append(line(dialect, client, count))
    return [*lines, "", "Where it is 2, the second is refused: the stop holds for the invocation."]


def table(*heads: str) -> str:
    return f"{line(*heads)}\n{line(*('---' for _ in heads))}"


def line(*cells: object) -> str:
    return f"| {' | '.join(map(str, cells))} |"


def test_every_code_has_a_row() -> None:
    assert set(ROWS) == set(Code)


def test_every_client_has_figures() -> None:
    assert set(FIGURES) == set(Client)


@pytest.mark.parametrize("client", KNOWN)
def test_every_known_client_has_a_figure_for_all_but_a_throttle(client: Client) -> None:
    for code in set(Code) - {Code.RATE_EXCEEDED}:
        assert expected_requests(code, client) is not None


def test_final_statuses_are_not_retried_by_sdks_unless_the_reason_demands_it() -> None:
    for code, row in ROWS.items():
        if row.retry_after_s is None and row.status < 500:
            assert row.status not in {408, 409, 429}, code


def test_the_page_shows_the_table() -> None:
    if os.environ.get("RINGFENCE_REFRESH"):
        PAGE.write_text(page(), encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == page(), (
        "see the page's first lines for how to refresh"
    )
