from collections.abc import Callable

from ringfence.config.loading import Loaded
from ringfence.domain.agent import LoopLimits, Threshold

HEAD = """\
format: 1
organisation: acme
users: {o@x: {roles: [admin]}}
agents:
  a:
    owner: o@x
"""
NEVER = Threshold(hint=None, stop=None)


def test_what_is_wrong_with_loops_is_named_with_its_place(
    refusal: tuple[str, list[str]], problems_of: Callable[..., list[str]]
) -> None:
    text, expected = refusal
    assert problems_of(HEAD + text) == expected


def loops(load_text: Callable[..., Loaded], text: str) -> LoopLimits:
    loaded = load_text(HEAD + text)
    return loaded.configuration.organisations["acme"].agents["a"].loops


def test_all_of_loops_is_read(load_text: Callable[..., Loaded]) -> None:
    text = """\
    loops:
      hint: 4
      stop: 10
      no_progress: 30
      retries: 12
      tools:
        crm__get_*: {hint: 20, stop: 100}
        wait: {stop: 50}
        sleep: unlimited
"""
    assert loops(load_text, text) == LoopLimits(
        usual=Threshold(hint=4, stop=10),
        tools=(
            ("crm__get_*", Threshold(hint=20, stop=100)),
            ("wait", Threshold(hint=4, stop=50)),
            ("sleep", NEVER),
        ),
        no_progress=30,
        retries=12,
    )


def test_each_of_them_can_be_unlimited(load_text: Callable[..., Loaded]) -> None:
    text = (
        "    loops: {hint: unlimited, stop: unlimited, no_progress: unlimited,"
        " retries: unlimited}\n"
    )
    assert loops(load_text, text) == LoopLimits(usual=NEVER, no_progress=None, retries=None)


def test_without_them_the_defaults_hold(load_text: Callable[..., Loaded]) -> None:
    assert loops(load_text, "    version: 2\n") == LoopLimits()
