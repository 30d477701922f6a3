import asyncio
from collections.abc import Callable
from pathlib import Path

from ringfence.app.warning import CHECKPOINTS, WITNESS, Warnings
from ringfence.app.witness import Witnesses
from ringfence.domain.error import RingfenceError, UnavailableError


async def eventually(is_so: Callable[[], bool]) -> None:
    for _ in range(1000):
        if is_so():
            return
        await asyncio.sleep(0.01)
    raise AssertionError


class Signing:
    failure: RingfenceError | None = None


def test_each_change_is_told_once(tmp_path: Path) -> None:
    told: list[tuple[str, str, str]] = []

    async def note(what: str, warning: str, why: str) -> None:
        told.append((what, warning, why))

    async def watch() -> None:
        signing = Signing()
        witnesses = Witnesses(tmp_path, [str(tmp_path / "nowhere" / "file")])
        warnings = Warnings(signing, witnesses, note)
        await warnings.observe()
        assert not warnings.raised
        signing.failure = UnavailableError("store_unavailable", "checkpoints cannot be written")
        (tmp_path / "checkpoints").mkdir()
        (tmp_path / "checkpoints" / "keys").write_bytes(b"x")
        witnesses.start()
        await eventually(lambda: bool(witnesses.behind))
        await warnings.observe()
        await warnings.observe()
        assert warnings.raised == [CHECKPOINTS, WITNESS]
        signing.failure = None
        await warnings.observe()
        assert warnings.raised == [WITNESS]
        await witnesses.stop()

    asyncio.run(watch())
    assert sorted(told) == [
        ("warning.cleared", CHECKPOINTS, ""),
        ("warning.raised", CHECKPOINTS, "checkpoints cannot be written"),
        ("warning.raised", WITNESS, "1 witnesses do not have the newest checkpoints"),
    ]
