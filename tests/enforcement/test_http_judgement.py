"""What was judged of a request is given again only while nothing that it was read from changes."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import msgspec
from tests.enforcement.test_http_call import THERE, Street, on_a_street
from tests.gateways.world import agent, organisation

from ringfence.domain.agent import Agent
from ringfence.domain.destination import Destination
from ringfence.domain.policy import PolicySource
from ringfence.domain.secret import FromStore, InHeader, SecretBinding, SecretDefinition
from ringfence.domain.verdict import Code, Reason
from ringfence.enforcement.http_judgement import Asked, Judged

MINUTE_US = 60_000_000
NOON_ONLY = """
forbid (principal, action == Action::"http.request", resource)
unless { context.time.minute == 0 };
"""
NO_LABEL = """
forbid (principal, action == Action::"http.request", resource)
when { context.seen.contains("untrusted") };
"""
NO_SECRET_PATH = """
forbid (principal, action == Action::"http.request", resource)
when { context.arguments.path like "/secret*" };
"""


def asked(path: bytes = b"/", method: str = "GET", to: Destination = THERE) -> Asked:
    return Asked(to, method, path, path.decode(), "", is_tunnel=False, is_injected=True)


def judged(street: Street, what: Asked, now_us: int = MINUTE_US) -> Judged | Reason:
    box = street.box
    judgements = street.path._judgements  # noqa: SLF001 (the part under test, wired)
    return judgements.judge(box.caller.runtime, box.live, what, now_us)


def reaching(*hosts: str) -> Agent:
    base = agent()
    return replace(base, scope=replace(base.scope, hosts=hosts))


def tell(
    story: Callable[[Street], Awaitable[None]], policy: str = "", hosts: tuple[str, ...] = ()
) -> None:
    async def told(street: Street) -> None:
        config = organisation(agents={"triage": reaching("api.example", *hosts)})
        if policy:
            source = PolicySource(files={"egress.cedar": policy}, digest="sha256:p")
            config = replace(config, policies=source)
        await street.world.reload(config)
        await story(street)

    on_a_street(told)


def test_the_same_request_is_judged_once() -> None:
    async def story(street: Street) -> None:
        first = judged(street, asked())
        assert isinstance(first, Judged)
        assert first.resource == "api.example:443"
        assert judged(street, asked()) is first
        assert judged(street, asked(b"/other")) is first  # no policy reads what it asks for
        assert judged(street, asked(method="POST")) is not first

    tell(story)


def test_where_policies_read_paths_each_path_is_judged() -> None:
    async def story(street: Street) -> None:
        for _ in range(2):
            assert isinstance(judged(street, asked(b"/public")), Judged)
            assert isinstance(judged(street, asked(b"/secret/1")), Reason)
        assert judged(street, asked(b"/public")) is judged(street, asked(b"/public"))

    tell(story, NO_SECRET_PATH)


def test_the_secret_of_a_path_is_for_that_path_alone() -> None:
    async def story(street: Street) -> None:
        binding = SecretBinding(host="api.example", location=InHeader(), path="/v1")
        secret = SecretDefinition(name="crm", origin=FromStore(), bindings=(binding,))
        holder = replace(reaching("api.example"), secrets=frozenset({"crm"}))
        config = organisation(agents={"triage": holder}, secrets={"crm": secret})
        await street.world.reload(config)
        for path, names in ((b"/v1", ("crm",)), (b"/v2", ()), (b"/v1/x", ("crm",)), (b"/v2", ())):
            found = judged(street, asked(path))
            assert isinstance(found, Judged)
            assert found.secrets == names
        unseen = msgspec.structs.replace(asked(b"/v1"), is_injected=False)
        found = judged(street, unseen)
        assert isinstance(found, Judged)
        assert found.injected is None

    tell(story)


def test_a_refusal_and_what_was_asked_of_a_long_path_are_not_kept() -> None:
    async def story(street: Street) -> None:
        long = asked(b"/" + b"x" * 600)
        assert judged(street, long) is not judged(street, long)
        outside = asked(to=Destination(scheme="https", host="evil.example", port=443))
        refused = judged(street, outside)
        assert isinstance(refused, Reason)
        assert refused.code is Code.OUT_OF_SCOPE
        kept = street.path._judgements._kept  # noqa: SLF001 (what memory it takes)
        assert not kept

    tell(story)


def test_a_reload_that_takes_a_host_away_holds_at_once() -> None:
    async def story(street: Street) -> None:
        assert isinstance(judged(street, asked()), Judged)
        await street.world.reload(organisation(agents={"triage": reaching("other.example")}))
        found = judged(street, asked())
        assert isinstance(found, Reason)
        assert found.code is Code.OUT_OF_SCOPE

    tell(story)


def test_a_policy_that_comes_holds_at_once() -> None:
    async def story(street: Street) -> None:
        secret = asked(b"/secret/1")
        assert isinstance(judged(street, secret), Judged)
        config = organisation(agents={"triage": reaching("api.example")})
        source = PolicySource(files={"egress.cedar": NO_SECRET_PATH}, digest="sha256:q")
        await street.world.reload(replace(config, policies=source))
        assert isinstance(judged(street, secret), Reason)
        assert isinstance(judged(street, asked(b"/public")), Judged)

    tell(story)


def test_a_policy_that_reads_the_time_is_asked_each_minute() -> None:
    async def story(street: Street) -> None:
        hour_us = 60 * MINUTE_US
        assert isinstance(judged(street, asked(), hour_us), Judged)
        assert isinstance(judged(street, asked(), hour_us + MINUTE_US - 1), Judged)
        assert isinstance(judged(street, asked(), hour_us + MINUTE_US), Reason)

    tell(story, NOON_ONLY)


def test_what_the_run_has_read_counts_at_once() -> None:
    async def story(street: Street) -> None:
        assert isinstance(judged(street, asked()), Judged)
        street.box.live.tree.mark(["untrusted"], {}, is_cleared=False)
        assert isinstance(judged(street, asked()), Reason)

    tell(story, NO_LABEL)


def test_two_runs_share_nothing() -> None:
    async def story(street: Street) -> None:
        first = judged(street, asked())
        other = Street()
        other.world = street.world
        await other.open()
        other.box.live.tree.mark(["untrusted"], {}, is_cleared=False)
        assert isinstance(judged(other, asked()), Reason)
        assert judged(street, asked()) is first

    tell(story, NO_LABEL)


def test_a_sub_agent_is_judged_anew_each_time() -> None:
    async def story(street: Street) -> None:
        box = street.box
        runtime = box.caller.runtime.as_sub_agent()
        judgements = street.path._judgements  # noqa: SLF001 (as above)
        one, two = (judgements.judge(runtime, box.live, asked(), MINUTE_US) for _ in range(2))
        assert isinstance(one, Judged)
        assert one is not two

    tell(story)


def test_memory_is_bounded_whatever_paths_are_asked_for() -> None:
    async def story(street: Street) -> None:
        for number in range(2_100):
            judged(street, asked(b"/public/%d" % number))
            if number % 200 == 0:
                await asyncio.sleep(0)
        kept = street.path._judgements._kept  # noqa: SLF001 (what memory it takes)
        assert 0 < len(kept) <= 2_049

    tell(story, NO_SECRET_PATH)
