from tests.cli.installation import Installation, free_port


def ports() -> tuple[str, ...]:
    return ("--port", str(free_port()), "--console-port", str(free_port()))


def test_a_healthy_installation_gets_no_bad_word(stopped: Installation) -> None:
    result = stopped.call("doctor", *ports())
    assert result.code == 0
    assert "bad " not in result.out
    assert "can read the data folder" in result.out


def test_a_running_plane_is_recognised(plane: Installation) -> None:
    result = plane.call("doctor")
    assert result.code == 0
    assert f"a plane is running with data folder `{plane.data}`" in result.out


def test_what_would_keep_the_plane_from_working_is_code_1(stopped: Installation) -> None:
    (stopped.folder / "ringfence.yaml").write_text("format: 2\n")
    result = stopped.call("doctor", *ports())
    assert result.code == 1
    assert "bad   " in result.out


def test_json_lists_the_findings(stopped: Installation) -> None:
    findings = stopped.call("doctor", "--json", *ports()).json()
    assert {"level", "what", "help"} == set(findings[0])
