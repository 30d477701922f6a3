import asyncio
import json
import signal
import subprocess
import sys
from pathlib import Path
from urllib.request import Request, urlopen

import pytest

from ringfence.testing.model import script
from ringfence.testing.model.serving import serving


def ask(url: str, **fields: object) -> bytes:
    document = {"model": "m", "messages": [{"role": "user", "content": "hello"}], **fields}
    request = Request(  # noqa: S310 (loopback)
        f"{url}/v1/chat/completions", data=json.dumps(document).encode(), method="POST"
    )
    with urlopen(request, timeout=60) as answer:  # noqa: S310 (loopback)
        body: bytes = answer.read()
    return body


def test_a_test_can_serve_in_its_own_loop() -> None:
    async def run() -> tuple[bytes, bytes, int]:
        async with serving(script.default()) as running:
            whole = await asyncio.to_thread(ask, running.url)
            streamed = await asyncio.to_thread(ask, running.url, stream=True)
            return whole, streamed, running.journal.total

    whole, streamed, total = asyncio.run(run())
    assert json.loads(whole)["choices"][0]["message"]["content"] == "You said: hello"
    assert streamed.endswith(b"data: [DONE]\n\n")
    assert total == 2


def test_a_cut_stream_breaks_off_on_the_wire() -> None:
    cut = script.parse(
        "{format: 1, rules: [{answer: {text: a b c, faults: {cut_after_chunks: 2}}}]}"
    )

    async def run() -> bytes:
        async with serving(cut) as running:
            host, port = running.url.removeprefix("http://").split(":")
            reader, writer = await asyncio.open_connection(host, int(port))
            body = b'{"model":"m","stream":true,"messages":[]}'
            head = b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n"
            writer.write(head % len(body) + body)
            try:
                return await asyncio.wait_for(reader.read(), 60)
            except ConnectionError:
                return b""
            finally:
                writer.close()

    assert b"[DONE]" not in asyncio.run(run())


def start(*arguments: str) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "ringfence.testing.model", *arguments]
    return subprocess.Popen(  # noqa: S603 (our own module)
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )


def test_a_process_says_where_it_listens_and_ends_when_asked() -> None:
    with start("--port", "0") as process:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("scripted model listening on http://127.0.0.1:")
        assert b"You said: hello" in ask(line.split()[-1])
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@pytest.mark.parametrize("text", ["{format: 2}", None])
def test_a_process_with_a_wrong_script_says_what_is_wrong(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "script.yaml"
    if text is not None:
        path.write_text(text, encoding="utf-8")
    with start("--script", str(path)) as process:
        _, error = process.communicate(timeout=10)
    assert process.returncode == 2
    assert str(path) in error
