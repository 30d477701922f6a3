from pathlib import Path

import pytest
from tests.cli.installation import serving_model

from ringfence.cli.demo import support

SCRIPT = Path(support.__file__).with_name("script.yaml")


def test_it_answers_both_questions_with_its_tools(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with serving_model(SCRIPT) as url:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        support.main()
    assert capsys.readouterr().out == "answered both questions\n"


def test_it_imports_nothing_of_ringfence() -> None:
    assert "ringfence" not in Path(support.__file__).read_text().replace("of Ringfence", "").lower()
