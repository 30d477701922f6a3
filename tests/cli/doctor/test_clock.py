import http.server
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from email.utils import formatdate
from pathlib import Path
from time import time

import pytest

from ringfence.cli.doctor.clock import clock_and_folder, clock_and_providers
from ringfence.domain.model import Provider, ProviderProtocol
from ringfence.domain.organisation import Configuration, Organisation


@contextmanager
def provider(said: str) -> Iterator[str]:
    """An HTTP server that says this of the time."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_HEAD(self) -> None:
            self.send_response_only(404)
            if said:
                self.send_header("date", said)
            self.end_headers()

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (likewise)
            del format, args

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        serving = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_address[1]}/v1"
        finally:
            server.shutdown()
            serving.join()


def asking(url: str) -> Configuration:
    house = Provider(name="house", protocol=ProviderProtocol.OPENAI, base_url=url)
    acme = Organisation(name="acme", providers={"house": house})
    return Configuration(organisations={"acme": acme}, digest="")


@pytest.mark.parametrize(
    ("ahead_s", "level", "what"),
    [
        (0, "ok", "the clock agrees with `house`"),
        (600, "bad", "s behind `house`"),
        (-600, "bad", "s ahead of `house`"),
    ],
)
def test_a_clock_is_compared_with_that_of_a_provider(ahead_s: int, level: str, what: str) -> None:
    with provider(formatdate(time() + ahead_s, usegmt=True)) as url:
        (found,) = clock_and_providers(asking(url))
    assert (found.level, what in found.what) == (level, True)


@pytest.mark.parametrize("said", ["", "yesterday"])
def test_a_provider_that_does_not_tell_the_time_says_nothing(said: str) -> None:
    with provider(said) as url:
        assert list(clock_and_providers(asking(url))) == []


def test_a_provider_that_is_not_there_says_nothing() -> None:
    assert list(clock_and_providers(asking("http://127.0.0.1:9/v1"))) == []


def test_a_folder_that_was_just_written_agrees(tmp_path: Path) -> None:
    (tmp_path / "state.db").touch()
    assert clock_and_folder(tmp_path).level == "ok"
