"""Scope: what is not declared does not exist."""

from ringfence.decisions import scope
from ringfence.decisions.scope import model_in_scope, models_in_scope
from ringfence.domain.agent import Agent, Category, Scope
from ringfence.domain.model import Model
from ringfence.domain.organisation import Organisation
from ringfence.domain.tool import ToolServer
from ringfence.domain.verdict import Code, Reason

MINE = Model(name="mine", provider="p", upstream="u")
SECOND = Model(name="second", provider="p", upstream="u")
OTHER = Model(name="other", provider="p", upstream="u")
ORGANISATION = Organisation(
    name="acme", models={model.name: model for model in (MINE, SECOND, OTHER)}
)
AGENT = Agent(
    name="triage",
    owner="owner@acme.example",
    team=None,
    category=Category.BOUNDED,
    purpose="",
    scope=Scope(models=frozenset({"second", "mine", "removed"})),
)


def refusal(name: str, narrowed: frozenset[str] | None = None) -> Reason:
    found = model_in_scope(AGENT, ORGANISATION, name, narrowed)
    assert isinstance(found, Reason)
    return found


def test_a_declared_model_is_found() -> None:
    assert model_in_scope(AGENT, ORGANISATION, "mine") is MINE


def test_a_model_of_others_is_refused_in_the_words_for_one_that_does_not_exist() -> None:
    exists, absent = refusal("other"), refusal("ether")
    assert exists.code is Code.OUT_OF_SCOPE
    assert exists.message.replace("other", "ether") == absent.message
    assert exists.facts[1:] == absent.facts[1:]


def test_a_refusal_names_what_may_be_used_and_whom_to_ask() -> None:
    assert "It may use: mine, second." in refusal("other").message
    assert "ask owner@acme.example" in refusal("other").message


def test_a_declared_model_that_no_longer_exists_is_refused() -> None:
    assert refusal("removed").code is Code.OUT_OF_SCOPE


def test_a_narrowed_scope_takes_away() -> None:
    assert "It may use: second." in refusal("mine", frozenset({"second"})).message


def test_a_narrowed_scope_adds_nothing() -> None:
    assert refusal("other", frozenset({"other", "mine"})).code is Code.OUT_OF_SCOPE


def test_only_what_may_be_used_is_listed() -> None:
    assert models_in_scope(AGENT, ORGANISATION) == (MINE, SECOND)
    assert models_in_scope(AGENT, ORGANISATION, frozenset({"other", "mine"})) == (MINE,)
    assert models_in_scope(AGENT, ORGANISATION, frozenset()) == ()


def test_a_server_is_there_for_whom_a_tool_of_it_is_in_scope() -> None:
    home = Organisation(name="acme", tools={n: ToolServer(name=n) for n in ("crm", "files", "x")})
    seen = scope.servers_in_scope(home, (("crm__*", "files__read_*"), None, ("files__*", "crm__a")))
    assert [server.name for server in seen] == ["crm", "files"]
    assert scope.servers_in_scope(home, (("crm__*",), ())) == ()
