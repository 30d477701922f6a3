"""Shells tell of their own commands where they are asked to, and the log is bounded and removed."""

import os
import subprocess
from pathlib import Path

import pytest

from ringfence.domain.agent import SandboxTier
from ringfence.sandbox import builtins
from ringfence.sandbox.builtins import Builtins
from ringfence.sandbox.plan import SandboxPlan


def plan(tier: SandboxTier) -> SandboxPlan:
    return SandboxPlan(tier=tier, command=("bash",), environment={"A": "b"}, workspace="/project")


def told(script: str, tmp_path: Path) -> tuple[list[list[str]], int]:
    """What a Bash says that runs a script with our file, and its exit code."""
    said = Builtins()
    try:
        asked = said.asked(plan(SandboxTier.REDUCED), str(tmp_path))
        [file] = asked.files
        Path(file.path).write_bytes(file.content)
        environment = {**os.environ, **asked.environment}
        done = subprocess.run(  # noqa: S603 (our own script)
            ["/bin/bash", "-c", script], env=environment, cwd=tmp_path, check=False
        )
        lines = said.told().decode().splitlines()
    finally:
        said.close()
    return [line.split("\t") for line in lines], done.returncode


def test_what_a_shell_does_by_itself_is_told_with_where_it_was(tmp_path: Path) -> None:
    said, code = told("cd /; echo hi >/dev/null; f() { true; }; f; exit 7", tmp_path)
    assert code == 7
    assert [(each[1], each[2]) for each in said] == [
        (str(tmp_path), "cd /"),
        ("/", "echo hi > /dev/null"),
        ("/", "f"),
        ("/", "f"),
        ("/", "true"),
        ("/", "exit 7"),
    ]


def test_a_script_goes_on_as_if_nobody_looked(tmp_path: Path) -> None:
    _, code = told(
        "false; [ $? = 1 ] || exit 2; set -e; true | cat; x=$(echo a); [ $x = a ]", tmp_path
    )
    assert code == 0


def test_a_line_break_makes_no_second_line(tmp_path: Path) -> None:
    said, _ = told("echo 'a\nb' >/dev/null", tmp_path)
    assert [each[2] for each in said] == ["echo 'a b' > /dev/null"]


def test_the_strict_tier_has_its_own_place_for_the_log() -> None:
    said = Builtins()
    try:
        asked = said.asked(plan(SandboxTier.STRICT), "/run/ringfence")
        [bind] = asked.read_write
        assert bind.seen == "/run/ringfence/said"
        assert asked.environment == {
            "A": "b",
            "BASH_ENV": "/run/ringfence/builtins.sh",
            "RINGFENCE_BUILTINS": "/run/ringfence/said/builtins.log",
        }
        source = Path(bind.source)
        assert source.stat().st_mode & 0o777 == 0o700
    finally:
        said.close()
    assert not source.exists()


def test_only_a_file_is_read(tmp_path: Path) -> None:
    said = Builtins()
    try:
        [bind] = said.asked(plan(SandboxTier.STRICT), "/x").read_write
        log = Path(bind.source, "builtins.log")
        log.unlink()
        assert said.told() == b""
        (tmp_path / "secret").write_text("secret")
        log.symlink_to(tmp_path / "secret")
        assert said.told() == b""
        log.unlink()
        os.mkfifo(log)
        assert said.told() == b""
    finally:
        said.close()


def test_a_long_log_keeps_its_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(builtins, "KEPT_BYTES", 4)
    said = Builtins()
    try:
        [bind] = said.asked(plan(SandboxTier.STRICT), "/x").read_write
        Path(bind.source, "builtins.log").write_bytes(b"abcdefghijkl")
        assert said.told() == b"abcd\n[ringfence: 4 bytes are left out here]\nijkl"
        Path(bind.source, "builtins.log").write_bytes(b"abcdef")
        assert said.told() == b"abcd\n[ringfence: 0 bytes are left out here]\nef"
    finally:
        said.close()
