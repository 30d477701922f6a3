"""By which name a program is known decides who may run it."""

import pytest
from hypothesis import given
from hypothesis import strategies as some

from ringfence.decisions.command import in_scope, looks_up, names_of, signal_name
from ringfence.domain.agent import Agent, Category, Scope
from ringfence.domain.verdict import Reason


def agent(*commands: str) -> Agent:
    return Agent(
        name="triage",
        owner="o@x",
        team=None,
        category=Category.BOUNDED,
        purpose="",
        scope=Scope(commands=commands),
    )


@pytest.mark.parametrize(
    ("path", "names"),
    [
        ("/usr/bin/git", ("git", "/usr/bin/git")),
        ("/usr/lib/git-core/git-remote-https", None),
        ("/opt/tool/bin/tool", ("tool", "/opt/tool/bin/tool")),
        ("/project/git", ("/project/git",)),
        ("/home/agent/.local/bin/git", ("/home/agent/.local/bin/git",)),
        ("/usr/bin/../../project/git", ("/usr/bin/../../project/git",)),
        ("git", ("./git",)),
        ("bin/git", ("./bin/git",)),
        ("", ("./",)),
    ],
)
def test_a_name_is_a_program_where_no_agent_can_put_one(
    path: str, names: tuple[str, ...] | None
) -> None:
    found = names_of(path)
    assert found == (names or (path.rpartition("/")[2], path))


def test_where_the_agent_may_write_nothing_has_a_name_of_the_system() -> None:
    assert names_of("/opt/project/git", ("/opt/project",)) == ("/opt/project/git",)
    assert names_of("/opt/project/git", ("/opt/project/",)) == ("/opt/project/git",)
    assert names_of("/opt/projects/git", ("/opt/project",))[0] == "git"


def test_what_an_agent_tells_of_itself_is_looked_up_by_its_name() -> None:
    assert names_of("git", is_told=True) == ("git",)
    assert names_of("./git", is_told=True) == ("././git",)


@given(some.text(min_size=1))
def test_nothing_outside_of_the_system_is_known_by_a_bare_name(path: str) -> None:
    if not path.startswith("/usr/"):
        assert all("/" in name for name in names_of(path) if not path.startswith(("/bin", "/opt")))


def test_everybody_who_has_a_say_must_allow_it_by_the_same_name() -> None:
    names = names_of("/usr/bin/git")
    assert in_scope(agent("git"), names, ()) == "git"
    assert in_scope(agent("/usr/bin/*"), names, ()) == "/usr/bin/git"
    assert in_scope(agent("*"), names, (("git", "ls"),)) == "git"
    assert isinstance(in_scope(agent("git"), names, (("ls",),)), Reason)
    assert isinstance(in_scope(agent(), names, ()), Reason)


def test_the_refusal_names_what_the_agent_has() -> None:
    why = in_scope(agent("git", "ls"), ("curl",), ())
    assert isinstance(why, Reason)
    assert "agent `triage` has no command `curl`. It may use: git, ls." in why.message


def test_a_link_of_the_system_counts_by_its_own_name_and_one_of_the_agents_does_not() -> None:
    real = "/usr/bin/python3.11"
    assert names_of(real, given="/usr/bin/python3") == (
        "python3",
        "python3.11",
        "/usr/bin/python3",
        real,
    )
    assert names_of("/usr/bin/dash", given="/bin/sh")[:2] == ("sh", "dash")
    assert names_of(real, given="/project/git") == ("python3.11", real)
    assert names_of(real, ("/usr/local",), given="/usr/local/git") == ("python3.11", real)
    assert names_of(real, given="/usr/bin/../../project/git") == ("python3.11", real)
    assert names_of("/project/evil", given="/usr/bin/git") == ("/project/evil",)


def test_env_alone_only_looks_up_what_it_was_told_to_run() -> None:
    assert looks_up("/usr/bin/env")
    assert not looks_up("/usr/bin/bash")
    assert not looks_up("/project/env")


def test_signals_have_names_where_they_have() -> None:
    assert signal_name(9) == "SIGKILL"
    assert signal_name(99) == "signal 99"
