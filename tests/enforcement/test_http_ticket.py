"""A request between its intent and its outcome."""

from dataclasses import replace

from tests.enforcement.test_http_call import Street, on_a_street

from ringfence.domain.event import Status
from ringfence.domain.verdict import Code


def test_a_reload_that_takes_its_host_away_stops_it() -> None:
    async def story(street: Street) -> None:
        ticket = street.begin()
        assert ticket.barred() is None
        assert ticket.guard() is None
        stopped: list[Code] = []
        ticket.on_stop = lambda why: stopped.append(why.code)
        config = street.world.config
        used = config.agents["triage"]
        narrow = replace(used, scope=replace(used.scope, hosts=("other.example",)))
        await street.world.reload(replace(config, agents={used.name: narrow}))
        assert stopped == [Code.OUT_OF_SCOPE]
        ticket.undo(Status.CUT, "out_of_scope")
        assert not ticket.is_open
        assert ticket.secrets == ()

    on_a_street(story)
