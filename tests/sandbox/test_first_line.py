"""The interpreter of a script is what the kernel would run; only files are opened for it."""

import os
from pathlib import Path

import pytest

from ringfence.sandbox.first_line import interpreter_of, named_in


@pytest.mark.parametrize(
    ("beginning", "named"),
    [
        (b"#!/bin/bash\nexit", "/bin/bash"),
        (b"#! \t/usr/bin/env python3 -u\n", "/usr/bin/env"),
        (b"#!/bin/sh", "/bin/sh"),
        (b"#!\n", ""),
        (b"#! ", ""),
        (b"\x7fELF", ""),
        (b" #!/bin/sh\n", ""),
        (b"", ""),
    ],
)
def test_the_first_line_is_read_as_the_kernel_reads_it(beginning: bytes, named: str) -> None:
    assert named_in(beginning) == named


def test_links_of_an_interpreter_are_resolved(tmp_path: Path) -> None:
    real, link, script = tmp_path / "real", tmp_path / "link", tmp_path / "script"
    real.write_text("x")
    link.symlink_to(real)
    script.write_text(f"#!{link}\n")
    script.chmod(0o755)
    assert interpreter_of(os.getpid(), str(script)) == str(real)


def test_what_is_no_script_or_cannot_be_read_has_none(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "data").write_bytes(b"\x7fELF")
    (tmp_path / "lost").write_text("#!/nowhere/at/all\n")
    for each in tmp_path.iterdir():
        each.chmod(0o755)
    (tmp_path / "text").write_text("#!/bin/sh\n")  # the kernel executes no such file
    for name in ("pipe", "data", "lost", "text", "missing"):
        assert interpreter_of(os.getpid(), str(tmp_path / name)) == ""
    assert interpreter_of(2**22 + 1, "/bin/sh") == ""
