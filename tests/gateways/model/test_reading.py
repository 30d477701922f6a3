from ringfence.app.dialect import codecs
from ringfence.domain.model import Dialect
from ringfence.gateways.model.reading import Codecs


def test_each_organisation_has_codecs_of_its_own() -> None:
    known = Codecs(codecs)
    for dialect in Dialect:
        mine = known.of("org_acme", dialect)
        assert mine is known.of("org_acme", dialect)
        assert mine is not known.of("org_evil", dialect)
