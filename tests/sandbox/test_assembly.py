import shutil
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest
import trustme
from tests.sandbox.test_environment import CALLER, CANARY, GRANT

from ringfence.domain.agent import SandboxRules, SandboxTier
from ringfence.sandbox import assembly, trust_store
from ringfence.sandbox.assembly import Scene, Setup, Task
from ringfence.sandbox.plan import Bind, SandboxFile, SandboxLimits, check
from ringfence.sandbox.program import Program

LOOPBACK = ("127.0.0.1", 4711)
PROXY = ("127.0.0.1", 4712)
TASK = Task(
    command=("tool", "-x"),
    workspace="/srv/work",
    directory="/srv/work/src",
    program=Program(path="/opt/t/tool", binds=(Bind("/opt/t/tool"),), folders=("/opt/t",)),
)
CA = trustme.CA().cert_pem.bytes().decode()
INTERCEPTED = msgspec.structs.replace(GRANT, ca_pem=CA)


def strict() -> Scene:
    return assembly.scene(SandboxTier.STRICT, "", LOOPBACK, PROXY)


def reduced() -> Scene:
    return assembly.scene(SandboxTier.REDUCED, "/srv/run-1", LOOPBACK, PROXY)


def test_a_strict_sandbox_knows_its_listeners_at_the_same_addresses_always() -> None:
    where = strict()
    assert where.gateway == ("127.0.0.1", 8484)
    assert where.proxy == ("127.0.0.1", 3128)
    assert where.home == "/home/agent"


def test_other_tiers_are_told_where_the_plane_listens_for_them() -> None:
    where = reduced()
    assert (where.gateway, where.proxy) == (LOOPBACK, PROXY)
    assert where.home.startswith("/srv/run-1/")
    assert where.place.startswith(where.home)


@pytest.mark.parametrize("where", [strict(), reduced()])
def test_a_plan_can_be_made_of_and_holds_nothing_of_the_caller(where: Scene) -> None:
    made = assembly.plan(INTERCEPTED, TASK, where, Setup(), CALLER)
    check(made)
    assert CANARY not in repr(made)
    assert made.command == ("tool", "-x")
    assert made.read_only == (Bind("/opt/t/tool"),)
    assert made.environment["PATH"].startswith("/opt/t:")
    assert made.limits.seconds == GRANT.seconds


def test_what_a_known_agent_needs_comes_on_top() -> None:
    setup = Setup(
        environment={"OPENAI_BASE_URL": "http://own", "MORE": "1"},
        files=(SandboxFile(path="/home/agent/.x", content=b"y"),),
        command=("other",),
    )
    made = assembly.plan(GRANT, TASK, strict(), setup, CALLER)
    assert made.environment["OPENAI_BASE_URL"] == "http://own"
    assert made.environment["MORE"] == "1"
    assert [each.path for each in made.files] == ["/home/agent/.x"]
    assert made.command == ("other",)


def test_where_nothing_is_intercepted_there_is_no_proxy_and_no_file() -> None:
    made = assembly.plan(GRANT, TASK, strict(), Setup(), CALLER)
    assert made.files == ()
    assert "https_proxy" not in made.environment


def test_programs_find_our_authority_beside_the_systems_roots() -> None:
    made = assembly.plan(INTERCEPTED, TASK, strict(), Setup(), CALLER)
    files = {each.path: each for each in made.files}
    bundle = files[made.environment["SSL_CERT_FILE"]]
    assert bundle.content.startswith(CA.rstrip().encode())
    assert not bundle.is_writable
    assert files[made.environment["NODE_EXTRA_CA_CERTS"]].content == CA.encode()
    for place in trust_store.BUNDLES:
        if Path(place).is_file():  # programs that know no variable read it here
            assert files[place].content == bundle.content
    assert ("JAVA_TOOL_OPTIONS" in made.environment) is (shutil.which("java") is not None)


def test_the_hosts_own_bundle_is_left_alone_where_it_is_seen() -> None:
    made = assembly.plan(INTERCEPTED, TASK, reduced(), Setup(), CALLER)
    assert all(each.path.startswith("/srv/run-1/home/") for each in made.files)


def test_equal_plans_have_one_digest_and_no_secret_is_in_it() -> None:
    one = assembly.plan(GRANT, TASK, strict(), Setup(), CALLER)
    other = msgspec.structs.replace(GRANT, token="rf_inv_2")
    again = assembly.plan(other, TASK, strict(), Setup(), CALLER)
    assert assembly.digest(one) == assembly.digest(again)
    moved = assembly.plan(GRANT, replace(TASK, directory="/srv/work"), strict(), Setup(), CALLER)
    assert assembly.digest(one) != assembly.digest(moved)


def test_the_record_names_what_of_the_machine_is_inside() -> None:
    made = assembly.plan(GRANT, TASK, strict(), Setup(), CALLER)
    assert assembly.binds(made) == ("ro /opt/t/tool", "rw /srv/work")
    shown = replace(made, read_only=(Bind("/opt/a", "/opt/b"),))
    assert assembly.binds(shown)[0] == "ro /opt/a as /opt/b"


def test_a_folder_of_a_run_is_its_owners_alone() -> None:
    folder = Path(assembly.run_folder())
    try:
        assert folder.stat().st_mode & 0o777 == 0o700
        assert folder == folder.resolve()
    finally:
        folder.rmdir()


def test_what_the_owner_shows_and_bounds_is_in_the_plan() -> None:
    rules = SandboxRules(
        read_only=("/srv/docs", "/opt/t"),
        read_write=("/srv/out",),
        hidden=("keys",),
        processes=64,
        file_bytes=1,
        memory_bytes=2,
        address_bytes=4,
        is_group_required=True,
        temporary_bytes=3,
        processor_percent=5,
    )
    given = msgspec.structs.replace(GRANT, rules=rules, seconds=9)
    made = assembly.plan(given, TASK, strict(), Setup(), CALLER)
    check(made)
    assert made.read_only == (Bind("/srv/docs"), Bind("/opt/t"))  # its program is in there
    assert made.read_write == (Bind("/srv/out"),)
    assert made.hidden == ("keys",)
    assert made.limits == SandboxLimits(
        seconds=9,
        processes=64,
        file_bytes=1,
        memory_bytes=2,
        address_bytes=4,
        temporary_bytes=3,
        processor_percent=5,
        is_group_required=True,
    )


def test_a_link_to_a_program_is_shown_in_strict_and_followed_elsewhere() -> None:
    linked = Program(path="/opt/t/tool", binds=(Bind("/data/tool", "/opt/t/tool"),))
    task = replace(TASK, program=linked)
    made = assembly.plan(GRANT, task, strict(), Setup(), CALLER)
    assert made.read_only == (Bind("/data/tool", "/opt/t/tool"),)
    made = assembly.plan(GRANT, task, reduced(), Setup(), CALLER)
    assert made.read_only == (Bind("/data/tool"),)


def test_without_a_sandbox_nothing_is_intercepted_and_the_hosts_own_roots_stay() -> None:
    where = assembly.scene(SandboxTier.NONE, "/srv/run-1", LOOPBACK, None)
    made = assembly.plan(INTERCEPTED, TASK, where, Setup(), CALLER)
    assert "SSL_CERT_FILE" not in made.environment
    assert "https_proxy" not in made.environment
    assert made.files == ()
