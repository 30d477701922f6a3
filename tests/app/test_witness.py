"""Checkpoints reach a file and a real server, whatever the server does meanwhile."""

import asyncio
from pathlib import Path

import pytest
from tests.planes import soon
from tests.stores.checkpoint.signing import MemoryLog, opened

from ringfence.app.witness import FileTarget, UrlTarget, Witness, Witnesses, target
from ringfence.protocols import note
from ringfence.stores.checkpoint.latest import latest_notes
from ringfence.stores.verification import Outside, read_kept
from ringfence.transport.client import Pool
from ringfence.transport.http import Request, Response
from ringfence.transport.server import Server
from ringfence.transport.tls import client_context


def grow(folder: Path, log: MemoryLog) -> None:
    attestation = opened(folder, log)
    for group in log.write(3):
        attestation.add(group)
    attestation.sign()
    attestation.close()


def test_a_file_gets_what_is_new_and_serves_as_since(tmp_path: Path) -> None:
    async def story() -> None:
        data, file, log = tmp_path / "data", tmp_path / "mount", MemoryLog()
        grow(data, log)
        witness = Witness(data, FileTarget(file))
        await witness.finish()
        first = file.read_bytes()
        await witness.finish()
        assert file.read_bytes() == first
        grow(data, log)
        await witness.finish()
        assert file.read_bytes() == first + latest_notes(data)["log_1"]
        assert file.stat().st_mode & 0o777 == 0o600
        kept = Outside(kept=tuple(read_kept(file))).kept
        assert [one.checkpoint.size for one in kept] == [1, 3, 6]

    asyncio.run(story())


class Receiver:
    """A witness over HTTP that refuses as often as it is told."""

    def __init__(self, refusals: int = 0) -> None:
        self.notes: list[bytes] = []
        self._refusals = refusals

    async def handle(self, request: Request, response: Response) -> None:
        body = await request.read(100_000)
        if self._refusals:
            self._refusals -= 1
            response.send(503, [], b"")
            return
        self.notes.append(body)
        response.send(200, [], b"")


def failure_of(witness: Witness) -> str:
    return witness.failure.code if witness.failure is not None else ""


def test_a_url_gets_each_note_and_failures_show_until_they_pass(tmp_path: Path) -> None:
    async def story() -> None:
        log, receiver = MemoryLog(), Receiver(refusals=1)
        grow(tmp_path, log)
        server = Server(receiver.handle)
        port = await server.listen("127.0.0.1", 0)
        pool = Pool(tls=client_context())
        witness = Witness(tmp_path, target(f"http://127.0.0.1:{port}/add?x=1", pool))
        await witness.finish()
        assert failure_of(witness) == "witness_unavailable"
        assert receiver.notes == []
        await witness.finish()
        assert failure_of(witness) == ""
        origins = [note.parse(one).text.splitlines()[0] for one in receiver.notes]
        assert [each.rpartition("/")[2] for each in origins] == ["key", "directory", "log_1"]
        await pool.close()
        await server.close()

    asyncio.run(story())


def test_an_end_sends_the_last_and_waits_for_nobody_for_ever(tmp_path: Path) -> None:
    async def story() -> None:
        log, file = MemoryLog(), tmp_path / "mount"
        grow(tmp_path / "data", log)
        witnesses = Witnesses(tmp_path / "data", [str(file), "http://127.0.0.1:1/"])
        witnesses.start()
        await asyncio.sleep(0.05)
        grow(tmp_path / "data", log)
        await witnesses.stop()
        assert witnesses.behind == ["127.0.0.1"]
        assert file.read_bytes().endswith(latest_notes(tmp_path / "data")["log_1"])

    asyncio.run(story())


def test_a_file_that_cannot_be_written_shows(tmp_path: Path) -> None:
    async def story() -> None:
        grow(tmp_path / "data", MemoryLog())
        witness = Witness(tmp_path / "data", FileTarget(tmp_path))
        running = asyncio.create_task(witness.run())
        await soon(lambda: witness.failure is not None)
        running.cancel()
        assert witness.failure is not None
        assert witness.failure.code == "witness_unavailable"

    asyncio.run(story())


@pytest.mark.parametrize(
    ("where", "kind"),
    [("https://w.example/x", UrlTarget), ("/mnt/w", FileTarget), ("w", FileTarget)],
)
def test_what_is_no_url_is_a_file(where: str, kind: type) -> None:
    async def story() -> None:
        pool = Pool(tls=client_context())
        assert isinstance(target(where, pool), kind)
        await pool.close()

    asyncio.run(story())
