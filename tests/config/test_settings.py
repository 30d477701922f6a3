from pathlib import Path

import pytest

from ringfence.config.settings import Options, Settings, is_loopback, resolve
from ringfence.domain.error import UsageError


def test_without_anything_the_defaults_hold() -> None:
    assert resolve({}) == Settings(
        config=Path("ringfence.yaml"),
        data=Path(".ringfence"),
        host="127.0.0.1",
        port=8484,
        console_host="127.0.0.1",
        console_port=8485,
    )


def test_the_environment_names_file_and_folder_and_options_win(tmp_path: Path) -> None:
    environment = {"RINGFENCE_CONFIG": "/e/c.yaml", "RINGFENCE_DATA": str(tmp_path)}
    settings = resolve(environment)
    assert (settings.config, settings.data) == (Path("/e/c.yaml"), tmp_path)
    settings = resolve(environment, config="mine.yaml", data=None, port=0, console_port=0)
    assert (settings.config, settings.data) == (Path("mine.yaml"), tmp_path)
    assert (settings.port, settings.console_port) == (0, 0)


def test_tls_or_an_explicit_word_lets_others_in(tmp_path: Path) -> None:
    certificate, key = tmp_path / "cert.pem", tmp_path / "key.pem"
    certificate.touch()
    key.touch()
    settings = resolve({}, host="0.0.0.0", tls_cert=str(certificate), tls_key=str(key))  # noqa: S104 (what is judged)
    assert settings.tls_cert == certificate
    assert resolve({}, console_host="::", insecure=True).insecure


def test_what_calls_may_hold_is_as_it_is_given() -> None:
    plain = resolve({})
    assert (plain.memory_mb, plain.memory_mb_per_credential, plain.calls_per_credential) == (
        512,
        128,
        256,
    )
    # Who has less in all has not more alone.
    small = resolve({}, memory_mb=64, calls_per_credential=2)
    assert (small.memory_mb_per_credential, small.calls_per_credential) == (64, 2)
    assert resolve({}, memory_mb=1024).memory_mb_per_credential == 128


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (Options(port=70000), "`--port` cannot be 70000"),
        (Options(console_port=-1), "`--console-port` cannot be -1"),
        (Options(port=9000, console_port=9000), "cannot share port 9000"),
        (Options(workers=0), "`--workers` cannot be 0"),
        (Options(workers=257), "`--workers` cannot be 257"),
        (Options(memory_mb=0), "`--memory-mb` cannot be 0"),
        (Options(memory_mb_per_credential=0), "`--memory-mb-per-credential` cannot be 0"),
        (Options(calls_per_credential=1_000_001), "`--calls-per-credential` cannot be 1000001"),
        (
            Options(memory_mb=64, memory_mb_per_credential=65),
            "one credential cannot hold 65 MiB of the 64 MiB that all may hold",
        ),
        (Options(database="mysql://u:hidden@h/d"), "a kind of database that is not supported"),
        (Options(database="postgresql://u:${NOT_SET}@h/hidden"), "variable `NOT_SET`, which the"),
        (Options(host="192.168.0.5"), "`--host 192.168.0.5` would serve other machines"),
        (Options(console_host="::"), "`--console-host ::` would serve other machines"),
        (Options(console_host="plane.example"), "would serve other machines"),
        (Options(tls_cert="cert.pem"), "TLS needs a certificate and its key"),
        (Options(tls_cert="/none/cert.pem", tls_key="/none/key.pem"), "no file `/none/cert.pem`"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(options: Options, message: str) -> None:
    with pytest.raises(UsageError) as raised:
        resolve({}, **options)
    assert message in raised.value.message
    assert raised.value.code == "setting_invalid"
    assert "hidden" not in raised.value.message + raised.value.help


def test_a_data_folder_that_is_a_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "data"
    file.touch()
    with pytest.raises(UsageError, match="is not a folder"):
        resolve({}, data=str(file))


@pytest.mark.parametrize(
    ("host", "expected"),
    [
        ("127.0.0.1", True),
        ("127.9.9.9", True),
        ("::1", True),
        ("localhost", True),
        ("0.0.0.0", False),  # noqa: S104 (what is judged)
        ("::", False),
        ("10.0.0.1", False),
        ("localhost.example", False),
    ],
)
def test_loopback_is_what_only_this_machine_reaches(host: str, expected: bool) -> None:  # noqa: FBT001 (a column of the table)
    assert is_loopback(host) is expected


def test_a_data_folder_with_a_configuration_of_its_own_is_used_with_that(tmp_path: Path) -> None:
    own = tmp_path / "ringfence.yaml"
    assert resolve({}, data=str(tmp_path)).config == Path("ringfence.yaml")
    own.write_text("format: 1\n")
    assert resolve({}, data=str(tmp_path)).config == own
    assert resolve({}, data=str(tmp_path), config="other.yaml").config == Path("other.yaml")


def test_a_database_is_named_by_option_or_environment_and_its_password_by_reference() -> None:
    url = "postgresql://ada:${DB_PASSWORD}@db.example/acme"
    environment = {"RINGFENCE_DATABASE": url, "DB_PASSWORD": "s3c/et@1"}
    expected = "postgresql://ada:s3c%2Fet%401@db.example/acme"
    assert resolve(environment).database == expected
    assert resolve(environment, database="sqlite").database == "sqlite"
    assert resolve({"DB_PASSWORD": "s3c/et@1"}, database=url).database == expected
    assert resolve({}).database == "sqlite"


def test_settings_show_no_database_url() -> None:
    settings = resolve({}, database="postgresql://ada:hidden@db.example/acme")
    assert "hidden" not in f"{settings!r} {settings}"


def test_a_data_folder_of_another_user_has_no_configuration_for_us(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def closed(_: Path) -> bool:
        raise PermissionError

    monkeypatch.setattr(Path, "is_file", closed)
    assert resolve({}, data="/srv/theirs").config == Path("ringfence.yaml")
