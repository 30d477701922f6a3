"""`ringfence tools authorize`: a person grants a tool server in the browser, here.

The browser comes back to this machine (RFC 8252, section 7.3); what it brings goes to the plane,
which alone gets and keeps tokens.
"""

import time
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Final
from urllib.parse import parse_qs, urlsplit

import msgspec

from ringfence.cli.connection import Connection
from ringfence.cli.option import segment
from ringfence.cli.terminal.printing import hint, say
from ringfence.domain.error import UnavailableError, UsageError

WAIT_S: Final = 600.0
PATH: Final = "/callback"
_TURN_S: Final = 1.0
_DONE: Final = b"You may close this page and go back to the terminal.\n"
_KEYS: Final = ("code", "state", "iss", "error", "error_description")


class _Asked(msgspec.Struct):
    url: str
    state: str


class Granted(msgspec.Struct):
    """A grant as the plane tells of it."""

    server: str
    is_granted: bool
    by: str = ""
    issuer: str = ""
    granted_us: str = ""


class Callback(HTTPServer):
    """Waits for the browser on this machine alone."""

    def __init__(self, port: int) -> None:
        """Port 0 picks one. Raises UsageError `port_taken`."""
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise UsageError("port_taken", f"port {port} cannot be listened on") from error
        self.timeout = _TURN_S
        self.brought: dict[str, str] = {}

    @property
    def redirect_uri(self) -> str:
        """Where the browser comes back to."""
        return f"http://127.0.0.1:{self.server_port}{PATH}"

    def wait(self, state: str, limit_s: float) -> dict[str, str]:
        """What the browser has brought back for this question. Raises UnavailableError."""
        end_s = time.monotonic() + limit_s
        while time.monotonic() < end_s:
            self.handle_request()
            if self.brought.get("state") == state:
                return self.brought
        raise UnavailableError("authorization_late", "the browser did not come back in time")


class _Handler(BaseHTTPRequestHandler):
    server: Callback

    def do_GET(self) -> None:
        """Take what the browser brings; any other page is none."""
        parts = urlsplit(self.path)
        if parts.path != PATH:
            self.send_error(404)
            return
        found = parse_qs(parts.query)
        self.server.brought = {key: found[key][0] for key in _KEYS if key in found}
        self.send_response(200)
        self.send_header("content-type", "text/plain; charset=utf-8")
        self.send_header("content-length", str(len(_DONE)))
        self.end_headers()
        self.wfile.write(_DONE)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (its name there)
        """Say nothing: the address holds the code."""


def authorize(plane: Connection, server: str, port: int, limit_s: float = WAIT_S) -> Granted:
    """Have a person grant the server. Raises RingfenceError."""
    path = f"/tools/servers/{segment(server)}/grant"
    with Callback(port) as callback:
        body = {"redirect_uri": callback.redirect_uri}
        asked = msgspec.json.decode(plane.post(path, body), type=_Asked)
        hint("open this address in a browser on this machine, and say yes there:")
        say([asked.url])
        brought = callback.wait(asked.state, limit_s)
    if "code" not in brought:
        why = brought.get("error_description") or brought.get("error") or "no code came"
        raise UsageError("authorization_refused", f"it was not granted: {why[:300]}")
    answer = {
        "state": asked.state,
        "code": brought["code"],
        "iss": brought.get("iss", ""),
    }
    return msgspec.json.decode(plane.post(f"{path}/answer", answer), type=Granted)
