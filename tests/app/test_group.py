from dataclasses import replace
from pathlib import Path

from ringfence.app.group import Place
from ringfence.config.settings import Settings


def test_a_place_is_what_the_settings_say() -> None:
    settings = Settings(config=Path("c"), data=Path("d"), host="127.0.0.1", port=1)
    assert Place.of(settings) == Place(host="127.0.0.1", port=1)
    secure = replace(settings, tls_cert=Path("cert.pem"), tls_key=Path("key.pem"))
    assert Place.of(secure) == Place(
        host="127.0.0.1", port=1, tls_cert="cert.pem", tls_key="key.pem"
    )
