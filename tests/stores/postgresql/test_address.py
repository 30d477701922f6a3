import pytest

from ringfence.domain.error import UsageError
from ringfence.stores.postgresql.address import Address

SECRET = "s3cret-word"


@pytest.mark.parametrize(
    ("url", "shown"),
    [
        (
            f"postgresql://ada:{SECRET}@db.example:6432/acme",
            "postgresql://ada@db.example:6432/acme",
        ),
        (f"postgres://ada:{SECRET}@db.example/acme", "postgresql://ada@db.example/acme"),
        (f"postgresql://db.example/acme?password={SECRET}", "postgresql://db.example/acme"),
        (f"postgresql://ada:{SECRET}@/acme?host=/run/pg", "postgresql://ada@/acme"),
        ("postgresql://ada@db.example", "postgresql://ada@db.example/ada"),
    ],
)
def test_an_address_shows_itself_without_its_password(url: str, shown: str) -> None:
    address = Address.parse(url)
    assert address.shown == shown
    assert SECRET not in f"{address!r} {address} {address.shown}"
    assert (SECRET in address.conninfo()) is (SECRET in url)


def test_a_url_that_cannot_be_read_is_not_repeated() -> None:
    with pytest.raises(UsageError) as caught:
        Address.parse(f"postgresql://ada:%ZZ{SECRET}@db.example/acme")
    error = caught.value
    assert error.code == "setting_invalid"
    assert SECRET not in f"{error} {error.help} {error.__cause__}"
    assert error.__suppress_context__


def test_options_of_the_url_win_over_our_own() -> None:
    address = Address.parse("postgresql://db.example/acme?connect_timeout=30&sslmode=verify-full")
    assert "connect_timeout=30" in address.conninfo()
    assert "sslmode=verify-full" in address.conninfo()
    assert "keepalives_idle=5" in address.conninfo()
