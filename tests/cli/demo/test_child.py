import os
import sys
from pathlib import Path

import pytest

from ringfence.cli.demo.child import Child
from ringfence.domain.error import UnavailableError

STUBBORN = """\
import signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
print("ready", flush=True)
time.sleep(60)
"""


def child(tmp_path: Path, code: str) -> Child:
    return Child("helper", [sys.executable, "-c", code], os.environ, tmp_path / "helper.log")


def test_what_ends_well_gives_what_it_wrote(tmp_path: Path) -> None:
    assert child(tmp_path, "print('done')").wait(60) == "done"


def test_what_ends_badly_is_told_with_its_last_words(tmp_path: Path) -> None:
    with pytest.raises(UnavailableError) as caught:
        child(tmp_path, "import sys; print('why'); sys.exit(4)").wait(60)
    assert caught.value.message == "the demo's helper ended with code 4"
    assert caught.value.help == "why"


def test_what_ends_before_it_is_ready_is_not_waited_for(tmp_path: Path) -> None:
    started = child(tmp_path, "")
    with pytest.raises(UnavailableError) as caught:
        started.wait_until_ready(9, "/")
    assert "ended by itself" in caught.value.message


def test_a_line_is_given_when_it_is_whole(tmp_path: Path) -> None:
    code = "import time; print('port 1', end='2\\n', flush=True); time.sleep(60)"
    started = child(tmp_path, code)
    assert started.line("port") == "port 12\n"
    started.end()
    with pytest.raises(UnavailableError, match="ended by itself"):
        started.line("nothing of the kind")


def test_what_does_not_end_in_time_is_told_and_can_be_ended(tmp_path: Path) -> None:
    started = child(tmp_path, "import time; time.sleep(60)")
    with pytest.raises(UnavailableError, match="does not end"):
        started.wait(0.1)
    started.end()
    started.end()
    with pytest.raises(UnavailableError, match="ended by itself"):
        started.check()


def test_what_will_not_end_is_made_to(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ringfence.cli.demo.child._END_S", 0.2)
    started = child(tmp_path, STUBBORN)
    while "ready" not in (tmp_path / "helper.log").read_text():
        started.check()
    started.end()
    with pytest.raises(UnavailableError):
        started.check()
