import os
import shutil
from pathlib import Path

import pytest

from ringfence.domain.agent import SandboxTier
from ringfence.domain.error import UsageError
from ringfence.sandbox import bwrap
from ringfence.sandbox.plan import PROGRAMS, Bind, SandboxFile, SandboxPlan

_PLAN = SandboxPlan(
    tier=SandboxTier.STRICT,
    command=("true",),
    environment={"KEY": "placeholder", "EMPTY": ""},
    workspace="/w",
    files=(
        SandboxFile(path="/home/agent/.config", content=b"c", is_writable=True),
        SandboxFile(path="/etc/ssl/certs/ca.crt", content=b"pem"),
    ),
)
_STAGED = [(Bind("/tmp/1", "/w"), False), (Bind("/tmp/0", "/opt/tool"), True)]


def _words(plan: SandboxPlan = _PLAN) -> tuple[list[str], dict[str, bytes]]:
    contents: dict[str, bytes] = {}

    def hold(content: bytes) -> int:
        contents[str(100 + len(contents))] = content
        return 99 + len(contents)

    return bwrap.words(plan, _STAGED, uid=1000, gid=1000, data_fd=hold), contents


def _after(words: list[str], option: str) -> list[str]:
    return [words[at + 1] for at, word in enumerate(words) if word == option]


def test_every_namespace_but_the_network_is_bwraps() -> None:
    words, _ = _words()
    for name in ("user", "pid", "ipc", "uts"):
        assert f"--unshare-{name}" in words
    assert "--unshare-net" not in words  # made before, with our listeners in it
    assert {"--disable-userns", "--die-with-parent", "--new-session", "--clearenv"} <= set(words)


def test_a_terminal_of_its_own_keeps_its_session() -> None:
    plain = {name: getattr(_PLAN, name) for name in SandboxPlan.__slots__}
    words, _ = _words(SandboxPlan(**(plain | {"is_interactive": True})))
    assert "--new-session" not in words


def test_nothing_of_the_host_is_bound_but_what_is_listed() -> None:
    words, _ = _words()
    sources = _after(words, "--ro-bind") + _after(words, "--bind")
    shown = {"/usr", *(root for root in bwrap.ROOTS if not os.path.islink(root))}
    own = ("/tmp/", "/proc/")
    assert {each for each in sources if not each.startswith(own)} <= shown
    assert "/" not in sources
    assert _after(words, "--bind") == ["/tmp/1"]


def test_what_is_bound_comes_after_what_it_lies_on() -> None:
    words, _ = _words()
    assert words.index("/home/agent") < words.index("/home/agent/.config")
    assert words.index("/etc") < words.index("/etc/ssl/certs/ca.crt")
    assert words.index("--remount-ro") > words.index("/tmp/1")


def test_files_made_for_the_agent_come_from_memory() -> None:
    words, contents = _words()
    at = words.index("/home/agent/.config")
    assert words[at - 2] == "--file"
    assert contents[words[at - 1]] == b"c"
    at = words.index("/etc/ssl/certs/ca.crt")
    assert words[at - 2] == "--ro-bind-data"
    assert contents[words[at - 1]] == b"pem"


def test_the_environment_is_exactly_what_was_given() -> None:
    words, _ = _words()
    at = words.index("--clearenv")
    assert words[at + 1 : at + 7] == ["--setenv", "KEY", "placeholder", "--setenv", "EMPTY", ""]


def test_every_temporary_place_has_a_bound() -> None:
    words, _ = _words()
    for at, word in enumerate(words):
        if word == "--tmpfs":
            assert words[at - 2] == "--size"


def test_a_machine_without_bwrap_is_told_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(bwrap, "PROGRAMS", str(tmp_path))
    with pytest.raises(UsageError) as caught:
        bwrap.find()
    assert caught.value.code == "no_bwrap"
    assert "apt-get install bubblewrap" in caught.value.help


@pytest.mark.parametrize("mode", [0o4755, 0o2755])
def test_a_setuid_bwrap_is_refused(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, mode: int
) -> None:
    (tmp_path / "bwrap").write_text("#!/bin/sh\n")
    (tmp_path / "bwrap").chmod(mode)
    monkeypatch.setattr(bwrap, "PROGRAMS", str(tmp_path))
    with pytest.raises(UsageError) as caught:
        bwrap.find()
    assert caught.value.code == "setuid_bwrap"
    assert "chmod u-s" in caught.value.help


def test_no_file_that_is_shown_tells_of_people_or_secrets() -> None:
    for path in ("/etc/shadow", "/etc/passwd", "/etc/ssh/ssh_host_rsa_key", "/etc/sudoers"):
        assert not bwrap.is_shown(path)
    assert not bwrap.is_shown("/etc/ssl/private/key.pem")
    assert bwrap.is_shown("/usr/bin/env")


def _bwrap_that_says(folder: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    program = folder / "bwrap"
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    monkeypatch.setattr(bwrap, "PROGRAMS", str(folder))


@pytest.mark.parametrize(
    ("said", "told"), [("bubblewrap 0.6.1", "is of 0.6.1"), ("", "no version that it tells")]
)
def test_a_bwrap_that_is_too_old_is_refused_before_anything_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, told: str
) -> None:
    _bwrap_that_says(tmp_path, monkeypatch, said)
    with pytest.raises(UsageError) as caught:
        bwrap.find()
    assert caught.value.code == "old_bwrap"
    assert told in caught.value.message
    assert "0.8.0" in caught.value.help
    assert "sandbox: reduced" in caught.value.help


def test_a_program_that_stands_for_a_newer_bwrap_is_asked_for_its_version(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _bwrap_that_says(tmp_path, monkeypatch, "bubblewrap 0.11.0")
    assert bwrap.find().path == str(tmp_path / "bwrap")


def test_the_installed_bwrap_is_not_started_to_be_known() -> None:
    found = shutil.which("bwrap", path=PROGRAMS)
    if found is None:
        pytest.skip("no bwrap here")
    assert bwrap._has_the_option(found) == (bwrap.ask_version(found) >= (0, 8, 0))  # noqa: SLF001 (as above)
