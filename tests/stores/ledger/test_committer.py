import asyncio
import threading

from ringfence.stores.ledger.committer import Committer


def test_jobs_run_beside_the_loop_and_end_in_it() -> None:
    seen: list[tuple[str, int]] = []

    async def run() -> None:
        committer = Committer("test")
        for name in ("one", "two"):
            over = asyncio.Event()

            def ended(over: asyncio.Event = over) -> None:
                seen.append(("ended", threading.get_ident()))
                over.set()

            def job(name: str = name) -> None:
                seen.append((name, threading.get_ident()))

            committer.start(job, ended)
            await over.wait()
            assert committer.result() is None
        await committer.stop()

    asyncio.run(run())
    here = threading.get_ident()
    assert [name for name, _ in seen] == ["one", "ended", "two", "ended"]
    assert [ident == here for _, ident in seen] == [False, True, False, True]


def fail() -> None:
    raise LookupError("nothing there")


def test_what_a_job_raises_is_its_result_once() -> None:
    async def run() -> None:
        committer = Committer("test")
        committer.start(fail, lambda: None)
        await committer.wait()
        assert isinstance(committer.result(), LookupError)
        assert committer.result() is None
        committer.start(lambda: None, lambda: None)
        await committer.wait()
        assert not committer.is_running
        await committer.stop()

    asyncio.run(run())


def test_a_job_whose_loop_is_gone_is_waited_for_in_another() -> None:
    gate = threading.Event()
    made: list[Committer] = []

    def hold() -> None:
        gate.wait(60)

    async def begin() -> None:
        made.append(Committer("test"))
        made[0].start(hold, lambda: None)

    async def end() -> None:
        assert made[0].is_running
        gate.set()
        await made[0].wait()
        await made[0].stop()

    asyncio.run(begin())
    asyncio.run(end())
    assert not made[0].is_running
