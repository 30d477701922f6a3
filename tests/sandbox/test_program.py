import os
from pathlib import Path

import pytest

from ringfence.sandbox.plan import Bind
from ringfence.sandbox.program import find


def script(path: Path, line: str = "#!/bin/sh") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{line}\n")
    path.chmod(0o755)
    return path


@pytest.fixture
def real(tmp_path: Path) -> Path:
    return tmp_path.resolve()


def binds(name: str, search: Path | str, workspace: str = "/srv/work") -> set[str]:
    found = find(name, str(search), workspace)
    assert found is not None
    assert all(isinstance(each, Bind) for each in found.binds)
    return {each.seen for each in found.binds}


def test_a_program_of_the_system_needs_nothing_shown() -> None:
    found = find("sh", "/usr/bin:/bin", "/srv/work")
    assert found is not None
    assert (found.binds, found.folders) == ((), ())


def test_a_name_that_is_none_is_no_program(real: Path) -> None:
    assert find("none", str(real), "/srv/work") is None


def test_a_file_of_its_own_is_shown_alone_and_not_its_folder(real: Path) -> None:
    script(real / "bin" / "tool")
    (real / "bin" / "secret").write_text("canary")
    assert binds("tool", real / "bin") == {str(real / "bin" / "tool")}
    found = find("tool", str(real / "bin"), "/srv/work")
    assert found is not None
    assert found.folders == (str(real / "bin"),)


def test_every_link_on_the_way_is_shown(real: Path) -> None:
    script(real / "versions" / "2" / "tool")
    (real / "bin").mkdir()
    (real / "bin" / "middle").symlink_to("../versions/2/tool")
    (real / "bin" / "tool").symlink_to("middle")
    found = find("tool", str(real / "bin"), "/srv/work")
    assert found is not None
    file = str(real / "versions" / "2" / "tool")
    assert {(each.source, each.seen) for each in found.binds} == {
        (file, f"{real}/bin/tool"),
        (file, f"{real}/bin/middle"),
        (file, file),
    }


def test_a_program_below_a_folder_that_is_a_link_is_shown_where_it_is_called(real: Path) -> None:
    script(real / "data" / "tool")
    (real / "home").symlink_to(real / "data")
    found = find(str(real / "home" / "tool"), "", "/srv/work")
    assert found is not None
    assert found.path == f"{real}/home/tool"
    shown = {(each.source, each.seen) for each in found.binds}
    assert (f"{real}/data/tool", f"{real}/home/tool") in shown


def test_what_lies_among_packages_is_shown_with_all_of_them(real: Path) -> None:
    script(real / "node_modules" / "pkg" / "cli.js", "#!/usr/bin/env sh")
    (real / "node_modules" / ".bin").mkdir()
    (real / "node_modules" / ".bin" / "tool").symlink_to("../pkg/cli.js")
    shown = binds("tool", f"{real / 'node_modules' / '.bin'}{os.pathsep}/usr/bin")
    assert shown == {str(real / "node_modules")}


def test_a_virtual_environment_is_shown_with_the_python_that_it_stands_on(real: Path) -> None:
    base = real / "python"
    script(base / "bin" / "python3")
    (base / "lib" / "python3.12").mkdir(parents=True)
    (base / "share" / "keys").mkdir(parents=True)
    venv = real / "venv"
    (venv / "bin").mkdir(parents=True)
    (venv / "pyvenv.cfg").write_text("home = x\n")
    (venv / "bin" / "python").symlink_to(base / "bin" / "python3")
    script(venv / "bin" / "tool", f"#!{venv}/bin/python")
    shown = binds("tool", venv / "bin")
    assert shown == {str(venv), f"{base}/bin/python3", f"{base}/lib/python3.12"}


def test_an_interpreter_that_is_found_by_name_is_shown_and_found_inside_too(real: Path) -> None:
    script(real / "node" / "bin" / "node")
    script(real / "app" / "tool", "#!/usr/bin/env node")
    search = f"{real}/app{os.pathsep}{real}/node/bin"
    assert binds("tool", search) == {f"{real}/app/tool", f"{real}/node/bin/node"}
    found = find("tool", search, "/srv/work")
    assert found is not None
    assert set(found.folders) == {f"{real}/app", f"{real}/node/bin"}


def test_what_is_in_the_workspace_is_there_anyway(real: Path) -> None:
    script(real / "work" / "run.sh")
    found = find(str(real / "work" / "run.sh"), "", str(real / "work"))
    assert found is not None
    assert (found.binds, found.folders) == ((), ())


@pytest.mark.parametrize("line", ["", "#!", "#! ", "#!/usr/bin/env", "#!/usr/bin/env -S"])
def test_a_first_line_that_names_nobody_adds_nothing(real: Path, line: str) -> None:
    script(real / "tool", line)
    assert binds("tool", real) == {str(real / "tool")}
