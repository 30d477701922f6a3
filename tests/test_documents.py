"""What the documents say is so: links lead somewhere, and the demo prints what the README shows."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")])
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file(document: Path) -> None:
    links = LINK.findall(document.read_text(encoding="utf-8"))
    missing = [link for link in links if not (document.parent / link).exists()]
    assert missing == []


def test_the_demo_prints_what_the_readme_shows(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = next(b for b in re.findall(r"```\n(.*?)```", readme, re.DOTALL) if "  ok  " in b)
    command = [sys.executable, "-m", "ringfence", "demo", "--exit", "--data", str(tmp_path / "d")]
    command += ["--port", "0", "--console-port", "0"]
    done = subprocess.run(  # noqa: S603 (our own command)
        command,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env={"PATH": "", "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "90"},
    )
    assert done.returncode == 0, done.stderr
    assert " ".join(shown.split()) in " ".join(done.stdout.split())
