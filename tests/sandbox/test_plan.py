import pytest

from ringfence.domain.agent import SandboxTier
from ringfence.domain.error import UsageError
from ringfence.sandbox.plan import Bind, SandboxFile, SandboxPlan, check, is_below

_GOOD = SandboxPlan(
    tier=SandboxTier.STRICT, command=("true",), environment={"PATH": "/usr/bin"}, workspace="/w/a"
)


def _with(**more: object) -> SandboxPlan:
    plain = {name: getattr(_GOOD, name) for name in SandboxPlan.__slots__}
    return SandboxPlan(**(plain | more))


def test_a_plain_plan_is_good() -> None:
    check(_GOOD)
    check(_with(read_only=(Bind("/opt/x"), Bind("/opt/y", "/opt/z")), directory="/w/a/b"))
    check(_with(files=(SandboxFile(path="/home/agent/.x/y", content=b""),)))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"command": ()}, "no command"),
        ({"command": ("a\0b",)}, "NUL"),
        ({"environment": {"A": "\0"}}, "NUL"),
        ({"environment": {"A=B": "c"}}, "`A=B` is not a variable's name"),
        ({"environment": {"": "c"}}, "`` is not a variable's name"),
        ({"workspace": "relative"}, "`relative` is not an absolute"),
        ({"workspace": "/w/../etc"}, "`/w/../etc` is not an absolute"),
        ({"workspace": "//w"}, "`//w` is not an absolute"),
        ({"workspace": "/"}, "`/` cannot be given"),
        ({"read_only": (Bind("/x/"),)}, "`/x/` is not an absolute"),
        ({"read_only": (Bind("/x", "y"),)}, "`y` is not an absolute"),
        ({"read_only": (Bind("/x", "/w/a/b"),)}, "`/w/a/b` lies in `/w/a`"),
        ({"read_only": (Bind("/w/a/b", "/elsewhere"),)}, "`/w/a/b` lies in `/w/a`"),
        ({"read_write": (Bind("/w/a/b"),)}, "`/w/a/b` lies in `/w/a`"),
        ({"read_write": (Bind("/w/a"),)}, "named twice"),
        ({"read_write": (Bind("/w"),)}, "`/w/a` lies in `/w`"),
        ({"files": (SandboxFile(path="/w/a/f", content=b""),)}, "`/w/a/f` lies in `/w/a`"),
        ({"home": "/w/a/home"}, "`/w/a/home` lies in `/w/a`"),
        ({"hidden": ("../x",)}, "`../x` is not a path below"),
        ({"protected": ("/etc",)}, "`/etc` is not a path below"),
    ],
)
def test_what_no_sandbox_can_be_is_refused(more: dict[str, object], words: str) -> None:
    with pytest.raises(UsageError) as caught:
        check(_with(**more))
    assert caught.value.code == "bad_sandbox_plan"
    assert words in caught.value.message
    assert caught.value.help


def test_the_command_starts_in_the_workspace_unless_told() -> None:
    assert _GOOD.start == "/w/a"
    assert _with(directory="/w/a/b").start == "/w/a/b"


def test_below_is_by_parts_and_not_by_letters() -> None:
    assert is_below("/a/b", "/a")
    assert is_below("/a", "/a")
    assert is_below("/a", "/")
    assert not is_below("/ab", "/a")
