"""What is claimed of each case: what the model was told, what is on record, what was executed."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.journeys.calling.case import Case
from tests.journeys.calling.journey import Caller
from tests.journeys.calling.play import DELETED, ECHOED, PROCESSES, SAID, SERVER
from tests.journeys.calling.world import DENIED_BECAUSE, WHY
from tests.journeys.report import Report

from ringfence.testing.model.journal import Entry
from ringfence.testing.tools.plan import Call

Steps = list[dict[str, Any]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One run of one client: what its user saw, what the model got, what the plane recorded."""

    seen: dict[str, Any]
    entries: Sequence[Entry]
    """The model calls that reached the provider."""
    calls: Sequence[Call]
    """What the tool servers executed."""
    steps: Steps
    posts: int
    """Messages to the plane's tool gateway."""
    answers: int = 0
    """How often a person was asked."""
    approval: str = ""
    others: Sequence["Run"] = field(default_factory=tuple)

    @property
    def tools(self) -> Steps:
        """The tool calls on record."""
        return [step for step in self.steps if _is_call(step)]


def _is_call(step: dict[str, Any]) -> bool:
    """Whether it is a tool call that was carried out or refused; one that waits is another step."""
    is_call = step["kind"] == "tool.call" and step["operation"] == "tools/call"
    return is_call and not step["is_held"]


def check(  # noqa: C901 (a case for each)
    report: Report, caller: Caller, case: Case, run: Run
) -> None:
    """Everything that a case claims."""
    report.claim("error" not in run.seen, f"the client failed: {run.seen.get('error')}")
    said = str(run.seen.get("said", ""))
    report.figures["said"] = said[-600:]
    if caller.dialect is not None:
        report.contains("said", said, SAID)
    if case is not Case.SHARED:  # two runs of one token without a name are one run
        _joined(report, caller, run)
    match case:
        case Case.CALL:
            _called(report, caller, run, said)
        case Case.FORBIDDEN:
            report.contains("told", said, WHY)
            _refused(report, run, said, ["policy_denied"])
            report.equal("executed", len(run.calls), 0)
        case Case.APPROVED:
            report.contains("told", said, DELETED)
            report.equal("executed", [call.tool for call in run.calls], ["delete_all"])
            _rests(report, run)
        case Case.DENIED:
            report.contains("told", said, DENIED_BECAUSE)
            _refused(report, run, said, ["approval_denied"])
            report.equal("executed", len(run.calls), 0)
        case Case.EXPIRED:
            _refused(report, run, said, ["approval_expired"])
            report.equal("executed", len(run.calls), 0)
        case Case.SHARED if not caller.has_session:
            # Without sessions they are one client to a server that counts: all is counted once.
            report.equal("executed", len(run.calls), 2 * len(caller.counts))
        case Case.STATE | Case.SHARED:
            _counted(report, caller, run)
        case Case.PROCESS:
            for asked in PROCESSES:
                report.contains(asked.server, said, asked.told)
            recorded = [step["resource"] for step in run.tools if step["status"] == "ok"]
            expected = [f"{asked.server}__{asked.tool}" for asked in PROCESSES]
            report.equal("recorded", recorded, expected)
    if case in {Case.APPROVED, Case.DENIED, Case.EXPIRED}:
        report.equal("held", run.answers, 1)


def _called(report: Report, caller: Caller, run: Run, said: str) -> None:
    report.contains("told", said, ECHOED)
    report.equal("executed", [call.arguments for call in run.calls], [{"text": ECHOED}])
    report.equal("recorded", [step["resource"] for step in run.tools], [f"{SERVER}__echo"])
    report.equal("requests", len(run.entries), caller.requests)
    report.equal("posts", run.posts, caller.posts)
    listed = run.seen.get("listed") or (run.entries[0].tools if run.entries else [])
    report.figures["listed"] = listed
    report.claim(any(name.endswith("echo") for name in listed), f"no echo listed: {listed}")
    report.claim(any(name.endswith("ask_user") for name in listed) is False, "ask_user listed")
    unscoped = [name for name in listed if name.endswith(("sample", "progress", "__log"))]
    report.equal("listed out of scope", unscoped, [])


def _joined(report: Report, caller: Caller, run: Run) -> None:
    """Each call is joined to the model call that asked for it, by its id where one is sent."""
    if caller.dialect is None:
        return
    apart = [step["resource"] for step in run.tools if not step["asked_by"]]
    report.equal("joined", not apart, caller.is_joined)
    done = [step["call_id"] for step in run.tools if not step["is_refused"]]
    report.claim(all(bool(each) == caller.has_ids for each in done), f"ids of calls: {done}")


def _refused(report: Report, run: Run, said: str, codes: list[str]) -> None:
    """The model was told the very message that stands on record."""
    refused = [step["decision"] for step in run.tools if step["is_refused"]]
    report.equal("refused", [decision["code"] for decision in refused], codes)
    for decision in refused:
        report.contains("told", said, decision["message"])


def _rests(report: Report, run: Run) -> None:
    """The one action that was done names the approval it rests on."""
    done = [step for step in run.tools if not step["is_refused"] and step["status"]]
    report.equal("done", len(done), 1)


def _counted(report: Report, caller: Caller, run: Run) -> None:
    """Each of two clients that count at the same time sees its own counts alone."""
    runs = [run, *run.others]
    for each in runs:
        said = str(each.seen.get("said", each.seen.get("error", "")))
        last = caller.counts[-1] if caller.dialect else "\n".join(caller.counts)
        report.equal(
            "count", said.removeprefix(SAID).strip().splitlines()[-1:], last.splitlines()[-1:]
        )
    report.equal("executed", len(run.calls), len(caller.counts) * len(runs))
