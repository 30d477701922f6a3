import asyncio

from ringfence.app.webhook import Webhooks
from ringfence.transport.client import Pool
from ringfence.transport.webhook import Webhook


def test_a_webhook_is_opened_once_and_anew_when_its_rules_change() -> None:
    async def story() -> None:
        pool = Pool()
        opened: list[str] = []

        def open_(rules: str) -> Webhook | None:
            opened.append(rules)
            return Webhook(pool, rules, str) if rules else None

        hooks = Webhooks(open_)
        first = await hooks.of("org_1", "http://a.example")
        assert await hooks.of("org_1", "http://a.example") is first
        assert await hooks.of("org_2", "http://a.example") is not first
        assert await hooks.of("org_1", "http://b.example") is not first
        assert await hooks.of("org_1", "") is None
        assert opened == ["http://a.example", "http://a.example", "http://b.example", ""]
        await hooks.stop()
        await pool.close()

    asyncio.run(story())
