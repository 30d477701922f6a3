from tests.decisions.policy.asking import REFUND, organisation, question, tools

from ringfence.decisions.policy.compilation import compile_policies
from ringfence.domain.policy import PolicySource, PolicyVerdict

_NEVER = 'forbid (principal, action, resource == Tool::"crm__refund");'


def _source(text: str) -> PolicySource:
    return PolicySource(files={"a.cedar": text}, digest="sha256:0")


def test_files_add_to_what_is_declared() -> None:
    whole = compile_policies(organisation(policies=_source(_NEVER)), tools(crm__refund=REFUND))
    assert whole.decide(question()).policies == ("a.cedar#1",)
    assert whole.decide(question("crm__get")).verdict is PolicyVerdict.ALLOW
    assert compile_policies(organisation()).decide(question()).verdict is PolicyVerdict.ALLOW


def test_a_file_that_cannot_be_read_denies_everything() -> None:
    whole = compile_policies(organisation(policies=_source(f"{_NEVER}\nforbid (;")))
    for resource in ("crm__refund", "crm__get"):
        decided = whole.decide(question(resource))
        assert decided.verdict is PolicyVerdict.DENY
        assert "a.cedar:2" in decided.problem
        assert not whole.may_list(question(resource))
    assert whole.speaks_of_models
