from ringfence.app.dialect import codecs
from ringfence.domain.model import Dialect


def test_every_dialect_has_a_codec() -> None:
    assert set(codecs()) == set(Dialect)


def test_nobody_shares_what_a_codec_has_read() -> None:
    one, other = codecs(), codecs()
    assert all(one[dialect] is not other[dialect] for dialect in Dialect)
