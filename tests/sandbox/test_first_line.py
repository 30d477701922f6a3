"""The interpreter of a script is what the kernel would run; only files are opened for it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from ringfence.sandbox.first_line import FirstLine, first_line, words_in


@pytest.mark.parametrize(
    ("beginning", "words"),
    [
        (b"#!/bin/bash\nexit", ("/bin/bash",)),
        (b"#! \t/usr/bin/env python3 -u \n", ("/usr/bin/env", "python3 -u")),
        (b"#!/bin/sh", ("/bin/sh",)),
        (b"#!/bin/sh\r\n", ("/bin/sh\r",)),
        (b"#!/bin/sh\x0b-e\n", ("/bin/sh\x0b-e",)),
        (b"#!/bin/sh\0 -e\n", ("/bin/sh",)),
        (b"#!\n", ()),
        (b"#! ", ()),
        (b"\x7fELF", ()),
        (b" #!/bin/sh\n", ()),
        (b"", ()),
    ],
)
def test_the_first_line_is_read_as_the_kernel_reads_it(
    beginning: bytes, words: tuple[str, ...]
) -> None:
    assert words_in(beginning) == words


def test_the_words_are_those_that_an_interpreter_gets(tmp_path: Path) -> None:
    """Also of a script whose interpreter is one."""
    inner, outer = tmp_path / "inner", tmp_path / "outer"
    inner.write_text("#!/bin/echo said:\n")
    outer.write_text(f"#! {inner}   a  b \n")
    for each in (inner, outer):
        each.chmod(0o755)
    line = first_line(os.getpid(), str(outer))
    assert line is not None
    assert (line.interpreter, line.runs) == (str(inner), str(Path("/bin/echo").resolve()))
    assert line.words == ("/bin/echo", "said:", str(inner), "a  b")
    ran = subprocess.run([outer, "c"], capture_output=True, text=True, check=True)  # noqa: S603 (our own script)
    assert ran.stdout == " ".join([*line.words[1:], str(outer), "c\n"])


def test_links_of_an_interpreter_are_resolved(tmp_path: Path) -> None:
    real, link, script = tmp_path / "real", tmp_path / "link", tmp_path / "script"
    real.write_text("x")
    link.symlink_to(real)
    script.write_text(f"#!{link}\n")
    script.chmod(0o755)
    expected = FirstLine(interpreter=str(real), runs=str(real), words=(str(link),))
    assert first_line(os.getpid(), str(script)) == expected


def test_what_is_no_script_or_cannot_be_read_has_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "data").write_bytes(b"\x7fELF")
    (tmp_path / "lost").write_text("#!/nowhere/at/all\n")
    for each in tmp_path.iterdir():
        each.chmod(0o755)
    (tmp_path / "text").write_text("#!/bin/sh\n")  # the kernel executes no such file
    for name in ("pipe", "data", "lost", "text", "missing"):
        assert first_line(os.getpid(), str(tmp_path / name)) is None
    assert first_line(2**22 + 1, "/bin/sh") is None


_LEASE = """
import fcntl, os, signal, sys
signal.signal(signal.SIGIO, signal.SIG_IGN)
held = os.open(sys.argv[1], os.O_RDONLY)
fcntl.fcntl(held, fcntl.F_SETLEASE, fcntl.F_WRLCK)
print("held", flush=True)
sys.stdin.read()
print("still held" if fcntl.fcntl(held, fcntl.F_GETLEASE) != fcntl.F_UNLCK else "lost")
"""


def test_a_file_that_another_has_a_lease_on_is_waited_for_by_nobody(tmp_path: Path) -> None:
    """Whoever opens it otherwise waits until its holder lets go (fcntl(2), "Leases")."""
    script = tmp_path / "script"
    script.write_text("#!/bin/sh\n")
    script.chmod(0o755)
    holding = [sys.executable, "-c", _LEASE, str(script)]
    with subprocess.Popen(  # noqa: S603 (our own program)
        holding, text=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == "held\n"
        assert first_line(os.getpid(), str(script)) is None
        said, _ = holder.communicate(timeout=60)
    assert said == "still held\n"
