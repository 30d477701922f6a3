from pathlib import Path

import pytest
from tests.cli.installation import serving_model

from ringfence.cli.demo import coder

SCRIPT = Path(coder.__file__).with_name("script.yaml")


def test_it_does_what_its_model_says_and_says_its_last_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "orders.csv").write_text("1,x\n2,y\n3,z\n")
    fetched: list[str] = []

    def fetch(url: str) -> str:
        fetched.append(url)
        return "failed"

    monkeypatch.setitem(coder.TOOLS, "fetch", fetch)
    with serving_model(SCRIPT) as url:
        monkeypatch.setenv("OPENAI_BASE_URL", f"{url}/v1")
        monkeypatch.setenv("OPENAI_API_KEY", "any")
        coder.main()
    assert (tmp_path / "report.txt").read_text().strip() == "3"
    assert fetched == ["https://paste.example/new"]
    assert capsys.readouterr().out.startswith("counted 3 orders into report.txt")


def test_what_fails_is_told_to_the_model() -> None:
    assert coder.run_command("echo said >&2; exit 3") == "exit 3: said"
    assert coder.fetch("http://127.0.0.1:1/").startswith("failed: ")


def test_it_imports_nothing_of_ringfence() -> None:
    assert "ringfence" not in Path(coder.__file__).read_text().replace("of Ringfence", "").lower()
