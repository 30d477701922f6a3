"""What the documents say is so: links lead somewhere, and the demo prints what the README shows."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md"), *ROOT.glob("bench/*.md")])
SOURCES = [
    f"/{path.relative_to(ROOT)}"
    for top in ("src", "tests", "bench")
    for path in (ROOT / top).rglob("*.py")
]
PACKAGES = sorted((ROOT / "src" / "ringfence").rglob("__init__.py"))
LINK = re.compile(r"\]\((?!https?://|#)([^)#\s]+)")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_leads_to_a_file(document: Path) -> None:
    links = LINK.findall(document.read_text(encoding="utf-8"))
    missing = [link for link in links if not (document.parent / link).exists()]
    assert missing == []


def anchor(heading: str) -> str:
    """The name by which a link finds a heading, as GitHub makes it."""
    return re.sub(r"[^\w -]", "", heading.lstrip("#").strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_link_into_a_document_leads_to_a_heading(document: Path) -> None:
    for link, part in re.findall(
        r"\]\(([^):\s]*)#([^)\s]+)\)", document.read_text(encoding="utf-8")
    ):
        text = (document.parent / link if link else document).read_text(encoding="utf-8")
        headings = re.findall(r"^#+ .*$", text, re.MULTILINE)
        assert part in map(anchor, headings), f"{link}#{part}"


def linked(index: Path) -> list[str]:
    """The names of the documents beside an index to which it leads."""
    links = LINK.findall(index.read_text(encoding="utf-8"))
    return [link.removesuffix("/README.md") for link in links if not link.startswith("..")]


@pytest.mark.parametrize("folder", ["docs", "docs/design"])
def test_an_index_leads_to_each_document_beside_it_once(folder: str) -> None:
    beside = {path.name for path in (ROOT / folder).glob("*.md")} - {"README.md"}
    beside |= {path.parent.name for path in (ROOT / folder).glob("*/README.md")}
    assert sorted(linked(ROOT / folder / "README.md")) == sorted(beside)


def test_a_design_note_has_a_number_of_its_own() -> None:
    notes = sorted((ROOT / "docs" / "design").glob("[0-9]*.md"))
    numbers = [path.name.partition("-")[0] for path in notes]
    assert len(set(numbers)) == len(numbers)
    heads = [path.read_text(encoding="utf-8").split(" ")[:2] for path in notes]
    assert heads == [["#", number] for number in numbers]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.name)
def test_every_source_file_that_is_named_is_there(document: Path) -> None:
    named = set(re.findall(r"`([\w/-]+\.py)`", document.read_text(encoding="utf-8")))
    assert {
        name for name in named if not any(each.endswith(f"/{name}") for each in SOURCES)
    } == set()


@pytest.mark.parametrize("package", PACKAGES, ids=lambda path: path.parent.name)
def test_a_reading_order_names_what_is_there(package: Path) -> None:
    told = ast.get_docstring(ast.parse(package.read_text(encoding="utf-8"))) or ""
    beside = {path.stem for path in package.parent.iterdir()}
    floors = {path.parent.name for path in PACKAGES if path.parent.parent == ROOT / "src/ringfence"}
    assert set(re.findall(r"`([a-z_]+)`", told)) <= beside | floors


def test_the_demo_prints_what_the_readme_shows(tmp_path: Path) -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = next(b for b in re.findall(r"```\n(.*?)```", readme, re.DOTALL) if "  ok  " in b)
    command = [sys.executable, "-m", "ringfence", "demo", "--exit", "--data", str(tmp_path / "d")]
    command += ["--port", "0", "--console-port", "0"]
    done = subprocess.run(  # noqa: S603 (our own command)
        command,
        capture_output=True,
        text=True,
        timeout=110,
        check=False,
        cwd=tmp_path,
        env={"PATH": "", "PYTHONPATH": str(ROOT / "src"), "COLUMNS": "90"},
    )
    assert done.returncode == 0, done.stderr
    assert " ".join(shown.split()) in " ".join(done.stdout.split())
