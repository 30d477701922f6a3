import http.client
import json
import threading
from typing import Any

import pytest

from ringfence.cli.tools.authorizing import Callback, authorize
from ringfence.domain.error import UnavailableError, UsageError


class Plane:
    """Implements what is used of `cli.connection.Connection`; a browser comes back with this."""

    def __init__(self, query: str) -> None:
        self.query = query
        self.posted: list[tuple[str, Any]] = []

    def post(self, path: str, body: Any = None) -> bytes:  # noqa: ANN401 (any JSON)
        self.posted.append((path, body))
        if path.endswith("/answer"):
            return b'{"server":"crm","is_granted":true,"issuer":"https://issuer.example"}'
        port = int(body["redirect_uri"].split(":")[2].partition("/")[0])
        threading.Thread(target=self._browse, args=(port,)).start()
        return json.dumps({"url": "https://issuer.example/authorize", "state": "s1"}).encode()

    def _browse(self, port: int) -> None:
        for target in ("/favicon.ico", "/callback?state=other&code=evil", self.query):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", target)
            connection.getresponse().read()
            connection.close()


def test_what_the_browser_brings_back_goes_to_the_plane(
    capsys: pytest.CaptureFixture[str],
) -> None:
    plane = Plane("/callback?state=s1&code=c1&iss=https%3A%2F%2Fissuer.example")
    granted = authorize(plane, "crm", 0, 10.0)  # type: ignore[arg-type] # as much of it as is used
    assert (granted.server, granted.issuer) == ("crm", "https://issuer.example")
    path, answer = plane.posted[1]
    assert path == "/tools/servers/crm/grant/answer"
    assert answer == {"state": "s1", "code": "c1", "iss": "https://issuer.example"}
    assert capsys.readouterr().out.strip() == "https://issuer.example/authorize"


def test_a_person_who_says_no_is_heard() -> None:
    plane = Plane("/callback?state=s1&error=access_denied")
    with pytest.raises(UsageError, match="access_denied"):
        authorize(plane, "crm", 0, 10.0)  # type: ignore[arg-type] # likewise
    assert len(plane.posted) == 1


def test_a_browser_that_never_comes_is_not_waited_for_for_ever() -> None:
    with Callback(0) as callback, pytest.raises(UnavailableError):
        callback.wait("s1", 0.0)


def test_a_port_that_is_taken_is_told() -> None:
    with Callback(0) as callback, pytest.raises(UsageError, match="cannot be listened on"):
        Callback(callback.server_port)
