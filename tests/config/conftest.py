"""What the tests of the configuration share: a text in, problems or a configuration out."""

from collections.abc import Callable, Iterator
from pathlib import Path
from textwrap import dedent

import pytest

from ringfence.config.loading import Loaded, load
from ringfence.config.problem import ConfigurationError, Problem

SECRETS = {"OPENAI_API_KEY": "one", "CRM_TOKEN": "two", "EMPTY": ""}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Give a test that asks for `refusal` each case of the text file beside it."""
    if "refusal" in metafunc.fixturenames:
        cases = list(_cases(Path(metafunc.module.__file__ or "").with_suffix(".txt")))
        metafunc.parametrize("refusal", cases, ids=[expected[0] for _, expected in cases])


def _cases(path: Path) -> Iterator[tuple[str, list[str]]]:
    """Read pairs of a text and its problems: `----` between them, `====` after each pair."""
    for case in path.read_text(encoding="utf-8").split("====\n")[:-1]:
        text, expected = case.split("----\n")
        yield text, expected.splitlines()


def _line(problem: Problem) -> str:
    place = f"{problem.place.line}:{problem.place.column}: " if problem.place.line else ""
    return f"{place}{problem.what}" + (f" | {problem.help}" if problem.help else "")


@pytest.fixture
def load_text(tmp_path: Path) -> Callable[..., Loaded]:
    """Load a text as `ringfence.yaml`; keywords are environment variables."""

    def load_it(text: str, **environment: str) -> Loaded:
        path = tmp_path / "ringfence.yaml"
        path.write_text(dedent(text), encoding="utf-8")
        return load(path, SECRETS | environment)

    return load_it


@pytest.fixture
def problems_of(load_text: Callable[..., Loaded]) -> Callable[..., list[str]]:
    """The problems of a text, each as `line:column: what | help`."""

    def judge(text: str, **environment: str) -> list[str]:
        try:
            load_text(text, **environment)
        except ConfigurationError as error:
            return [_line(problem) for problem in error.problems]
        return []

    return judge


@pytest.fixture
def notes_of(load_text: Callable[..., Loaded]) -> Callable[..., list[str]]:
    """The notes on a text, each as `line:column: what | help`."""

    def judge(text: str, **environment: str) -> list[str]:
        return [_line(note) for note in load_text(text, **environment).notes]

    return judge
