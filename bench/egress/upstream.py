"""The host of the bench: TLS, 200 bytes, and only for who sends the credential.

python -m bench.egress.upstream --port PORT --chain FILE
"""

import argparse
import asyncio
import ssl

import uvloop

CREDENTIAL = "sk-bench-0123456789abcdefghijklmnop"
_FINE = b'{"items": [' + b", ".join([b'{"id": 12345}'] * 12) + b"]}"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n%b" % (
    len(_FINE),
    _FINE,
)
_REFUSED = b"HTTP/1.1 401 Unauthorized\r\ncontent-length: 0\r\n\r\n"
_PROOF = f"authorization: bearer {CREDENTIAL}".encode()


class _Serving(asyncio.Protocol):
    """Requests have no body here, so that each ends with its head."""

    def __init__(self) -> None:
        self._data = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        *heads, self._data = (self._data + data).split(b"\r\n\r\n")
        for head in heads:
            answer = ANSWER if _PROOF in head.lower() else _REFUSED
            self._transport.write(answer)  # type: ignore[attr-defined] # a transport for both ways


async def serve(port: int, chain: str) -> None:
    """Serve until the process is ended."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(chain)
    server = await asyncio.get_running_loop().create_server(
        _Serving, "127.0.0.1", port, ssl=context
    )
    print("ready", flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--chain", required=True)
    arguments = parser.parse_args()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(arguments.port, arguments.chain))
