import json
import subprocess
import sys
from pathlib import Path

import pytest

from ringfence.domain.error import UnavailableError
from ringfence.domain.model import ProviderProtocol
from ringfence.domain.price import RateCard, Rates
from ringfence.stores.price import Wanted, resolve

NOW_US = 1_795_000_000_000_000
MINI = Wanted(
    protocol=ProviderProtocol.OPENAI, base_url="https://api.openai.com/v1", model="gpt-5-mini"
)
UNKNOWN = Wanted(
    protocol=ProviderProtocol.OPENAI, base_url="https://api.openai.com/v1", model="no-such-model"
)
CARD = RateCard(rates=Rates(input=1, output=2), source="test")
CARD_JSON = {"rates": {"input": 1, "output": 2}, "source": "test"}


@pytest.fixture
def child(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> "Child":
    return Child(tmp_path, monkeypatch)


class Child:
    """Stands in for the interpreter: a script that answers what the test says and keeps count."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self._script = folder / "interpreter"
        self._answer = folder / "answer"
        self._seen = folder / "seen"
        self.cache = folder / "data"
        self.cache.mkdir()
        monkeypatch.setattr(sys, "executable", str(self._script))

    def answers(self, answer: object, status: int = 0) -> None:
        self._answer.write_text(answer if isinstance(answer, str) else json.dumps(answer))
        script = f"#!/bin/sh\nenv >> {self._seen}\necho RUN >> {self._seen}\ncat {self._answer}\n"
        self._script.write_text(f"{script}exit {status}\n")
        self._script.chmod(0o755)

    @property
    def seen(self) -> str:
        return self._seen.read_text() if self._seen.exists() else ""

    @property
    def runs(self) -> int:
        return self.seen.count("RUN\n")


def test_a_real_child_knows_published_prices(tmp_path: Path) -> None:
    cards = resolve([MINI, UNKNOWN, MINI], tmp_path, NOW_US)
    assert cards[UNKNOWN] is None
    mini = cards[MINI]
    assert mini is not None
    assert mini.rates.input == 250_000_000
    assert mini.rates.output == 2_000_000_000
    assert mini.source.startswith("genai-prices ")


def test_no_models_need_no_child(child: Child) -> None:
    assert resolve([], child.cache, NOW_US) == {}
    assert child.runs == 0


def test_an_answer_is_kept(child: Child) -> None:
    child.answers({"cards": [CARD_JSON], "until_us": None})
    assert resolve([MINI], child.cache, NOW_US) == {MINI: CARD}
    assert resolve([MINI], child.cache, NOW_US + 10**15) == {MINI: CARD}
    assert child.runs == 1


def test_an_answer_is_kept_only_until_a_price_changes(child: Child) -> None:
    child.answers({"cards": [CARD_JSON], "until_us": NOW_US + 10})
    resolve([MINI], child.cache, NOW_US)
    resolve([MINI], child.cache, NOW_US + 9)
    assert child.runs == 1
    resolve([MINI], child.cache, NOW_US + 10)
    assert child.runs == 2


def test_other_models_are_asked_for_again(child: Child) -> None:
    child.answers({"cards": [CARD_JSON], "until_us": None})
    resolve([MINI], child.cache, NOW_US)
    child.answers({"cards": [None], "until_us": None})
    assert resolve([UNKNOWN], child.cache, NOW_US) == {UNKNOWN: None}
    assert child.runs == 2


@pytest.mark.parametrize("kept", [b"", b"{}", b"\xff", b'{"key": 5}', b"[" * 5000])
def test_a_damaged_cache_is_replaced(kept: bytes, child: Child) -> None:
    (child.cache / "prices.json").write_bytes(kept)
    child.answers({"cards": [CARD_JSON], "until_us": None})
    assert resolve([MINI], child.cache, NOW_US) == {MINI: CARD}
    assert resolve([MINI], child.cache, NOW_US) == {MINI: CARD}
    assert child.runs == 1


def test_a_folder_that_cannot_be_written_costs_only_time(child: Child) -> None:
    child.answers({"cards": [CARD_JSON], "until_us": None})
    assert resolve([MINI], child.cache / "nowhere", NOW_US) == {MINI: CARD}


def test_nothing_but_the_answer_is_left_in_the_folder(child: Child) -> None:
    child.answers({"cards": [CARD_JSON], "until_us": None})
    resolve([MINI], child.cache, NOW_US)
    assert [path.name for path in child.cache.iterdir()] == ["prices.json"]
    assert "api.openai.com" not in (child.cache / "prices.json").read_text()


@pytest.mark.parametrize("answer", ["", "oops", "[]", '{"cards": [{}], "until_us": null}'])
def test_an_answer_that_cannot_be_read_is_an_error(answer: str, child: Child) -> None:
    child.answers(answer)
    with pytest.raises(UnavailableError) as raised:
        resolve([MINI], child.cache, NOW_US)
    assert raised.value.code == "price_data_unavailable"


def test_an_answer_of_the_wrong_length_is_an_error(child: Child) -> None:
    child.answers({"cards": [], "until_us": None})
    with pytest.raises(UnavailableError):
        resolve([MINI], child.cache, NOW_US)


def test_a_child_that_fails_is_an_error(child: Child) -> None:
    child.answers({"cards": [CARD_JSON], "until_us": None}, status=1)
    with pytest.raises(UnavailableError):
        resolve([MINI], child.cache, NOW_US)


def test_a_missing_interpreter_is_an_error(child: Child) -> None:
    with pytest.raises(UnavailableError):
        resolve([MINI], child.cache, NOW_US)


def test_the_child_sees_no_secret(child: Child, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "hidden")
    child.answers({"cards": [CARD_JSON], "until_us": None})
    resolve([MINI], child.cache, NOW_US)
    assert child.runs == 1
    assert "hidden" not in child.seen


def test_asking_does_not_load_the_price_data_here() -> None:
    code = "import sys, ringfence.stores.price; print('genai_prices' in sys.modules)"
    done = subprocess.run(  # noqa: S603 (this interpreter and this package)
        [sys.executable, "-c", code], capture_output=True, check=True
    )
    assert done.stdout == b"False\n"
