from pathlib import Path

import pytest
from tests.cli.installation import serving_model

from ringfence.cli.demo import research

REFUSING = """\
format: 1
rules:
  - when: {turn: 3}
    answer:
      faults: {status: 402, body: {type: error, error: {type: billing_error, message: enough}}}
  - answer: {text: "A section."}
"""
CUTTING = """\
format: 1
rules:
  - answer: {text: "A section that ends early.", faults: {error_after_chunks: 3}}
"""


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "any")


def play(script: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving_model(script) as url:
        monkeypatch.setenv("ANTHROPIC_BASE_URL", url)
        research.main()


def test_it_writes_all_sections_where_nothing_stops_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    play(Path(research.__file__).with_name("script.yaml"), monkeypatch)
    assert capsys.readouterr().out == "wrote all 6 sections\n"


def test_it_stops_when_it_is_told_that_it_is_enough(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(REFUSING)
    play(script, monkeypatch)
    assert capsys.readouterr().out == "wrote 2 of 6 sections; then: enough\n"


def test_an_error_within_the_stream_is_not_taken_for_a_section(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    script = tmp_path / "script.yaml"
    script.write_text(CUTTING)
    with pytest.raises(RuntimeError):
        play(script, monkeypatch)
