import hashlib
from dataclasses import replace

from tests.gateways.world import agent, model, organisation

from ringfence.domain.agent import AgentState, Scope
from ringfence.domain.credential import AgentCredential
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.domain.verdict import Code
from ringfence.enforcement.directory import Caller, Directory, Unidentified, digest_of

TOKEN = b"rf_agt_secret"


def configuration(config: Organisation, epoch: int = 1) -> Configuration:
    return Configuration(organisations={"acme": config}, digest="sha256:1", epoch=epoch)


def credential(agent_id: str = "agt_triage", revoked_us: int | None = None) -> AgentCredential:
    return AgentCredential(
        id="crd_1",
        organisation="org_acme",
        agent=agent_id,
        digest=digest_of(TOKEN),
        created_us=0,
        revoked_us=revoked_us,
    )


def directory(*credentials: AgentCredential) -> Directory:
    made = Directory()
    made.install(configuration(organisation()), {})
    made.put_credentials(credentials)
    return made


def code(found: Caller | Unidentified) -> str:
    return "" if isinstance(found, Caller) else found.verdict.reason.code.value


def test_a_token_leads_to_its_agent() -> None:
    found = directory(credential()).identify(digest_of(TOKEN), 0)
    assert isinstance(found, Caller)
    assert (found.runtime.id, found.credential, found.chain) == (
        "agt_triage",
        "crd_1",
        ("agt_triage",),
    )


def test_nobody_is_known_to_an_empty_directory() -> None:
    empty = Directory()
    empty.put_credentials([credential()])
    assert code(empty.identify(digest_of(TOKEN), 0)) == Code.CREDENTIAL_UNKNOWN
    assert code(empty.identify(None, 0)) == Code.CREDENTIAL_MISSING


def test_tokens_are_kept_as_hashes_only() -> None:
    assert digest_of(TOKEN) == hashlib.sha256(TOKEN).digest()


def test_a_revoked_token_tells_whose_it_was() -> None:
    found = directory(credential(revoked_us=10)).identify(digest_of(TOKEN), 10)
    assert isinstance(found, Unidentified)
    assert found.caller is not None
    assert found.caller.runtime.id == "agt_triage"
    assert code(directory(credential(revoked_us=10)).identify(digest_of(TOKEN), 9)) == ""


def test_an_invocation_token_dies_with_the_token_it_was_narrowed_from() -> None:
    known = directory(credential())
    origin = known.identify(digest_of(TOKEN), 0)
    assert isinstance(origin, Caller)
    known.put_invocation_token(digest_of(b"rf_inv_1"), replace(origin, invocation="inv_1"))
    assert code(known.identify(digest_of(b"rf_inv_1"), 0)) == ""
    known.put_credentials([credential(revoked_us=5)])
    assert code(known.identify(digest_of(b"rf_inv_1"), 4)) == ""
    assert code(known.identify(digest_of(b"rf_inv_1"), 5)) == Code.CREDENTIAL_REVOKED


def test_a_dropped_invocation_token_is_told_so() -> None:
    known = directory(credential())
    origin = known.identify(digest_of(TOKEN), 0)
    assert isinstance(origin, Caller)
    known.put_invocation_token(b"digest", origin)
    known.drop_invocation_token(b"digest", 0)
    known.drop_invocation_token(b"unknown", 0)
    known.put_invocation_token(digest_of(b"x"), origin)
    known.drop_invocation_token(digest_of(b"x"), 7)
    assert code(known.identify(digest_of(b"x"), 7)) == Code.CREDENTIAL_REVOKED


def test_an_epoch_changes_agents_in_place() -> None:
    known = directory()
    before = known.agent("agt_triage")
    assert before is not None
    narrow = agent(scope=Scope(models=frozenset({"small"})))
    fresh = agent("fresh")
    known.install(
        configuration(organisation(agents={"triage": narrow, "fresh": fresh}), 2),
        {"agt_triage": AgentState.SUSPENDED},
    )
    assert known.agent("agt_triage") is before
    assert set(before.routes) == {"small"}
    assert before.state is AgentState.SUSPENDED
    assert {each.id for each in known.agents()} == {"agt_triage", "agt_fresh"}


def test_an_agent_that_is_no_longer_defined_is_retired() -> None:
    known = directory()
    known.install(configuration(organisation(agents={"other": agent("other")}), 2), {})
    gone = known.agent("agt_triage")
    assert gone is not None
    assert gone.state is AgentState.RETIRED


def test_a_broken_epoch_changes_nothing() -> None:
    known = directory()
    runtime = known.agent("agt_triage")
    assert runtime is not None
    before = (known.configuration, runtime.agent, runtime.routes, runtime.state)
    broken = organisation(models={"small": model("small", "nowhere")})
    try:
        known.install(configuration(broken, 2), {})
    except KeyError:
        pass
    else:
        raise AssertionError("it was not broken")
    assert (known.configuration, runtime.agent, runtime.routes, runtime.state) == before
