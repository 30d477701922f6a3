import asyncio
import base64
import json
import shutil
import signal
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import msgspec
import pytest
from tests.app.installation import (
    ENVIRONMENT,
    KEY,
    TOKEN,
    Answer,
    Installation,
    plane,
    process,
    provider,
    ready,
    until,
)

from ringfence.app.plane import Plane
from ringfence.decisions.period import Line
from ringfence.domain.budget import Per
from ringfence.domain.error import UnavailableError, UsageError
from ringfence.domain.event import Change, Intent, Outcome, Refusal, Status
from ringfence.domain.tool_source import ToolListing
from ringfence.stores.ledger import LedgerWriter
from ringfence.testing.model.script import parse


@pytest.fixture
def installed(tmp_path: Path) -> Installation:
    return Installation(tmp_path)


def test_a_call_passes_and_is_recorded_and_the_books_are_kept_over_a_restart(
    installed: Installation,
) -> None:
    async def story() -> None:
        async with provider() as there:
            ready(installed, there, usd="0.003")
            async with plane(installed):
                answer = await installed.ask()
                assert answer.status == 200
                assert answer.headers["ringfence-action"].startswith("act_")
                name = answer.headers["ringfence-invocation"]
                health = await installed.send("GET", "/readyz")
                assert (health.status, health.body) == (200, b"ok\n")
            async with plane(installed):
                again = await installed.ask(headers={"ringfence-invocation": name})
                assert again.status == 200
            outcomes = [e for e in installed.events() if isinstance(e, Outcome)]
            assert [each.cost_nano for each in outcomes] == ["75000", "75000"]
            # What the first plane spent counts in the second.
            left = [int(each.accounts[0].left_nano) for each in outcomes]
            assert left == [3_000_000 - 75_000, 3_000_000 - 150_000]
            assert there.journal.total == 2

    asyncio.run(story())


@pytest.mark.parametrize("workers", [1, 2])
def test_one_credential_has_no_more_calls_running_than_it_may(tmp_path: Path, workers: int) -> None:
    installed = Installation(tmp_path, workers=workers)

    async def story() -> None:
        async with provider() as there:
            ready(installed, there)
            made = Plane(replace(installed.settings, calls_per_credential=1), ENVIRONMENT)
            await made.start()
            try:
                installed.port = made.port
                asking = [asyncio.create_task(installed.ask("hang")) for _ in range(workers + 2)]
                hanging = {*asking}
                while len(hanging) > workers:  # one on each worker that got any; here, at most
                    done, hanging = await asyncio.wait(
                        hanging, timeout=60, return_when=asyncio.FIRST_COMPLETED
                    )
                    assert {each.result().status for each in done} == {429}
                assert there.journal.total <= workers
                for each in hanging:
                    each.cancel()
                await asyncio.wait(hanging)
            finally:
                made.hurry()
                await made.stop()

    asyncio.run(story())


WHOLE = "usage: {input_tokens: 5, output_tokens: 50}"
CUT = "faults: {cut_after_chunks: 3}"


@pytest.mark.parametrize(("stream", "ending"), [(False, WHOLE), (True, WHOLE), (True, CUT)])
def test_of_two_hundred_connections_exactly_what_the_budget_affords_gets_through(
    installed: Installation,
    stream: bool,  # noqa: FBT001 (a case of the table)
    ending: str,
) -> None:
    script = f"format: 1\nrules: [{{answer: {{text: a b c d e f, {ending}}}}}]\n"

    async def story() -> None:
        async with provider(parse(script)) as there:
            ready(installed, there, usd="0.025", input_usd="0")
            async with plane(installed) as running:
                asking = [installed.ask(f"task {n}", stream=stream) for n in range(200)]
                statuses = [each.status for each in await asyncio.gather(*asking)]
                [line] = await _day(running)
            assert sorted(statuses) == [200] * 50 + [402] * 150
            assert there.journal.total == 50
            outcomes = [e for e in installed.events() if isinstance(e, Outcome)]
            charged = sum(int(each.cost_nano) for each in outcomes)
            assert charged == line.spent == line.limit == 25_000_000
            if ending is WHOLE:
                counted = [each.usage for each in there.journal.entries if each.usage]
                assert sum(each.output_tokens for each in counted) * 10_000 == charged

    asyncio.run(story())


async def _day(running: Plane) -> list[Line]:
    lines = await running.workers.budgets(running.configuration().organisations["acme"].id)
    return [line for line in lines if line.key.per is Per.DAY]


def test_a_token_of_a_run_is_good_after_a_restart(installed: Installation) -> None:
    path = "/ringfence/v1/invocations"

    async def story() -> None:
        async with provider() as there:
            ready(installed, there)
            async with process(installed) as running:
                known = {"authorization": f"Bearer {TOKEN}"}
                made = await installed.send("POST", path, b'{"models":["small"]}', known)
                given = msgspec.json.decode(made.body)
                running.send_signal(signal.SIGKILL)
            mine = {"authorization": f"Bearer {given['token']}"}
            async with plane(installed):
                answer = await installed.ask(headers=mine)
                assert answer.headers["ringfence-invocation"] == given["id"]
                denied = await installed.ask(headers=mine, model="claude")
                assert denied.code == "out_of_scope"
                done = await installed.send("POST", f"{path}/{given['id']}/finish", b"{}", mine)
                assert done.status == 200
                assert (await installed.ask(headers=mine)).code == "invocation_closed"

    asyncio.run(story())


def test_what_a_killed_plane_left_open_is_charged_once(installed: Installation) -> None:
    async def story() -> None:
        async with provider() as there:
            ready(installed, there)
            async with process(installed) as running:
                asking = asyncio.gather(
                    installed.ask("hang"),
                    installed.ask("stall", stream=True),
                    return_exceptions=True,
                )
                await until(there, 2)
                running.send_signal(signal.SIGKILL)
                await running.wait()
                await asking
            for _ in range(2):
                async with plane(installed):
                    assert (await installed.ask()).status == 200
            events = installed.events()
            intents = {e.action: e for e in events if isinstance(e, Intent)}
            outcomes = [e for e in events if isinstance(e, Outcome)]
            assert sorted(each.action for each in outcomes) == sorted(intents)
            unknown = [each for each in outcomes if each.status is Status.UNKNOWN]
            assert len(unknown) == 2
            for each in unknown:
                assert each.cost_nano == intents[each.action].reserved_nano != "0"
            spent = 5_000_000_000 - int(outcomes[-1].accounts[0].left_nano)
            assert spent == sum(int(each.cost_nano) for each in outcomes)

    asyncio.run(story())


def test_a_reload_retires_what_is_gone_and_brings_back_what_returns(
    installed: Installation,
) -> None:
    async def story() -> None:
        async with provider() as there:
            ready(installed, there)
            async with plane(installed) as running:
                whole = installed.settings.config.read_text()
                installed.settings.config.write_text(whole.replace("  triage:", "  other:"))
                await running.reload("test")
                assert (await installed.ask()).code == "agent_retired"
                installed.settings.config.write_text("format: 1\nagents: [")
                with pytest.raises(UsageError):
                    await running.reload("test")
                assert (await installed.ask()).code == "agent_retired"
                installed.settings.config.write_text(whole)
                await running.reload("test")
                assert (await installed.ask()).status == 200
            loaded = [e.what for e in installed.events() if isinstance(e, Change)]
            assert loaded.count("configuration.loaded") == 3

    asyncio.run(story())


def test_policies_that_are_wrong_are_not_taken_and_the_old_ones_stay(
    installed: Installation,
) -> None:
    async def story() -> None:
        async with provider() as there:
            ready(installed, there)
            config = installed.settings.config
            config.write_text(config.read_text() + "policies: policies\n")
            folder = config.parent / "policies"
            folder.mkdir()
            file = folder / "a.cedar"
            file.write_text('forbid (principal, action == Action::"model.call", resource);')
            async with plane(installed) as running:
                assert (await installed.ask()).code == "policy_denied"
                for wrong in ("forbid (;", 'forbid (principal in Team::"x", action, resource);'):
                    file.write_text(wrong)
                    with pytest.raises(UsageError) as caught:
                        await running.reload("test")
                    assert f"{file}:1" in caught.value.message
                    assert (await installed.ask()).code == "policy_denied"
                shutil.rmtree(folder)
                with pytest.raises(UsageError, match="no policies folder"):
                    await running.reload("test")
                assert (await installed.ask()).code == "policy_denied"
                folder.mkdir()
                await running.reload("test")
                assert (await installed.ask()).status == 200
            refused = [each for each in installed.events() if isinstance(each, Refusal)]
            assert {each.policy for each in refused} != {""}

    asyncio.run(story())


def test_policies_are_judged_by_the_tools_that_were_listed(installed: Installation) -> None:
    async def story() -> None:
        async with provider() as there:
            ready(installed, there)
            config = installed.settings.config
            tools = 'tools: {crm: {url: "http://127.0.0.1:9/mcp"}}\npolicies: policies\n'
            config.write_text(config.read_text() + tools)
            folder = config.parent / "policies"
            folder.mkdir()
            async with plane(installed) as running:
                acme = running.configuration().organisations["acme"]
                schema = {"properties": {"amount": {"type": "integer"}}}
                raw = json.dumps({"name": "pay", "inputSchema": schema}).encode()
                listing = ToolListing(organisation=acme.id, source="crm", raw=(raw,))
                running.workers.tools.seen(listing)
                head = 'forbid (principal, action, resource == Tool::"crm__pay")'
                (folder / "a.cedar").write_text(head + " when { context.arguments has amuont };")
                with pytest.raises(UsageError, match="amuont"):
                    await running.reload("test")
                (folder / "a.cedar").write_text(head + " when { context.arguments has amount };")
                await running.reload("test")

    asyncio.run(story())


def test_a_reload_without_a_change_is_not_on_the_record(installed: Installation) -> None:
    async def story() -> None:
        async with provider() as there:
            ready(installed, there)
            async with plane(installed) as running:
                for _ in range(3):
                    await running.reload("test")
            changes = [e.what for e in installed.events() if isinstance(e, Change)]
            assert changes.count("configuration.loaded") == 1

    asyncio.run(story())


def test_a_token_of_a_removed_agent_is_refused_by_name_after_a_restart_too(
    installed: Installation,
) -> None:
    async def story() -> None:
        async with provider() as there:
            ready(installed, there)
            async with plane(installed):
                assert (await installed.ask()).status == 200
            whole = installed.settings.config.read_text()
            installed.settings.config.write_text(whole.replace("  triage:", "  other:"))
            async with plane(installed) as running:
                gone = await installed.ask()
                assert (gone.status, gone.code) == (403, "agent_retired")
                installed.settings.config.write_text(whole)
                await running.reload("test")
                assert (await installed.ask()).status == 200
            refused = [e for e in installed.events() if isinstance(e, Refusal)]
            assert [e.decision.code for e in refused] == ["agent_retired"]
            (answered, *_) = [e for e in installed.events() if isinstance(e, Intent)]
            assert refused[0].agent == answered.agent

    asyncio.run(story())


def test_wrong_input_is_answered_in_words_recorded_and_survived(installed: Installation) -> None:
    known = f"authorization: Bearer {TOKEN}\r\n"

    async def story() -> None:
        async with provider() as there:
            ready(installed, there)
            async with plane(installed):
                cases = [
                    (await installed.ask(model="nothing"), 403, "out_of_scope"),
                    (await installed.ask(target="/v1/nothing"), 404, "not_found"),
                    (await installed.ask(headers={"authorization": "Bearer x"}), 401, ""),
                    (await _asked(installed, b"{"), 400, "request_malformed"),
                    (await _asked(installed, b"", "GET"), 405, "method_not_allowed"),
                    (await _huge(installed), 413, "request_too_large"),
                    (
                        await installed.raw(
                            f"POST /v1/messages HTTP/1.1\r\nhost: x\r\n{known}".encode()
                            + b"".join(b"x-%d: %s\r\n" % (n, b"y" * 900) for n in range(99))
                            + b"\r\n"
                        ),
                        431,
                        "request_too_large",
                    ),
                    (
                        await installed.raw(
                            f"POST /v1/messages HTTP/1.1\r\nhost: x\r\n{known}"
                            "content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n".encode()
                        ),
                        400,
                        "request_malformed",
                    ),
                    (await installed.raw(b"\x16\x03\x01\x02\x00\x01\r\n\r\n"), 400, ""),
                ]
                for answer, status, code in cases:
                    assert answer.status == status, answer
                    error = msgspec.json.decode(answer.body)["error"]
                    assert error["message"]
                    assert error["ringfence"]["code"]
                    assert not code or error["ringfence"]["code"] == code
                assert there.journal.total == 0
                assert (await installed.ask()).status == 200
            refusals = [e.decision.code for e in installed.events() if isinstance(e, Refusal)]
            assert refusals == [
                "out_of_scope",
                "not_found",
                "request_malformed",
                "method_not_allowed",
                "request_too_large",
            ]

    asyncio.run(story())


async def _asked(installed: Installation, body: bytes, method: str = "POST") -> Answer:
    headers = {"authorization": f"Bearer {TOKEN}"}
    return await installed.send(method, "/v1/chat/completions", body, headers)


async def _huge(installed: Installation) -> Answer:
    """A body of 100 MB, announced as such; refused before it has come."""
    head = (
        "POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\nconnection: close\r\n"
        f"authorization: Bearer {TOKEN}\r\ncontent-length: {100 * 1024 * 1024}\r\n\r\n"
    )
    return await installed.raw(head.encode() + b" " * 100_000)


def test_a_client_that_leaves_in_the_midst_is_accounted(installed: Installation) -> None:
    async def story() -> None:
        async with provider() as there:
            ready(installed, there)
            async with plane(installed):
                reader, writer = await asyncio.open_connection("127.0.0.1", installed.port)
                body = b'{"model":"small","max_tokens":50,"stream":true,"messages":[]}'
                writer.write(
                    b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\n"
                    b"authorization: Bearer %b\r\ncontent-length: %d\r\n\r\n%b"
                    % (TOKEN.encode(), len(body), body)
                )
                await reader.readuntil(b"data: ")
                writer.close()
                await writer.wait_closed()
            [outcome] = [e for e in installed.events() if isinstance(e, Outcome)]
            assert outcome.usage is not None
            assert outcome.usage.output_tokens == 7
            assert outcome.status in {Status.OK, Status.CLIENT_GONE}

    asyncio.run(story())


def test_no_file_log_or_answer_holds_a_secret(installed: Installation) -> None:
    script = """\
format: 1
rules:
  - when: {user: echo}
    answer:
      faults: {status: 401, body: {error: {message: "Incorrect API key provided: KEY"}}}
  - answer: {text: hello}
""".replace("KEY", KEY)
    raw = KEY.encode()
    shapes = [raw, raw.hex().encode(), quote(KEY).encode()]
    shapes += [base64.b64encode(raw[skip:]).rstrip(b"=")[4:-4] for skip in range(3)]

    async def story() -> None:
        answers = []
        async with provider(parse(script)) as there:
            ready(installed, there)
            async with process(installed) as running:
                answers += [await installed.ask("echo"), await installed.ask("echo", stream=True)]
                answers += [await installed.ask("fine"), await installed.ask(model="x")]
                assert [each.status for each in answers] == [502, 502, 200, 403]
                running.send_signal(signal.SIGTERM)
                await running.wait()
            sent = "".join(str(each.headers) for each in there.journal.entries)
            assert "sha256:" in sent
        found = [path.read_bytes() for path in installed.data.rglob("*") if path.is_file()]
        assert len(found) > 3
        found += [each.body + repr(each.headers).encode() for each in answers]
        found += [line.encode() for line in installed.lines]
        for data in found:
            for shape in shapes:
                assert shape not in data
            assert TOKEN.encode() not in data

    asyncio.run(story())


def test_a_port_that_is_taken_is_named_and_everything_closed_again(
    installed: Installation,
) -> None:
    async def story() -> None:
        async with provider() as there:
            ready(installed, there)
            async with plane(installed) as first:
                settings = installed.settings
                other = Installation(installed.folder / "other")
                other.folder.mkdir()
                other.configure(there.url)
                taken = other.settings.__class__(
                    config=settings.config, data=other.data, port=first.port, console_port=0
                )
                second = Plane(taken, {"PROVIDER_KEY": KEY})
                with pytest.raises(UsageError, match="cannot listen"):
                    await second.start()
                # Nothing of it is left: the same folder can be used at once.
                async with plane(other):
                    pass

    asyncio.run(story())


def test_a_plane_that_lost_events_does_not_end_as_if_all_were_well(
    installed: Installation, monkeypatch: pytest.MonkeyPatch
) -> None:
    close = LedgerWriter.close

    async def losing(self: LedgerWriter) -> None:
        await close(self)
        self.lost += 1

    async def story() -> None:
        async with provider() as there:
            ready(installed, there)
            monkeypatch.setattr(LedgerWriter, "close", losing)
            with pytest.raises(UnavailableError, match="run: 1"):
                async with plane(installed):
                    assert (await installed.ask()).status == 200

    asyncio.run(story())


def test_two_planes_never_share_a_data_folder(installed: Installation) -> None:
    async def story() -> None:
        async with provider() as there:
            ready(installed, there)
            async with plane(installed):
                second = Plane(installed.settings, {"PROVIDER_KEY": KEY})
                with pytest.raises(UsageError):
                    await second.start()
                assert (await installed.ask()).status == 200

    asyncio.run(story())
