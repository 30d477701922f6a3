from collections.abc import Callable

from ringfence.config.loading import Loaded
from ringfence.domain.agent import Agent, Protection, SandboxRules, SandboxTier

HEAD = """\
format: 1
organisation: acme
users: {ann@acme: {}}
models: {}
agents:
  triage:
    owner: ann@acme
"""


def agent(loaded: Loaded) -> Agent:
    return loaded.configuration.organisations["acme"].agents["triage"]


def test_what_is_wrong_with_a_sandbox_is_named_with_its_place(
    refusal: tuple[str, list[str]], problems_of: Callable[..., list[str]]
) -> None:
    text, expected = refusal
    assert problems_of(HEAD + text) == expected


def test_a_word_is_the_minimum_tier_and_the_rest_is_usual(
    load_text: Callable[..., Loaded],
) -> None:
    found = agent(load_text(HEAD + "    sandbox: reduced\n"))
    assert (found.sandbox, found.sandbox_rules) == (SandboxTier.REDUCED, SandboxRules())


def test_nothing_said_is_strict(load_text: Callable[..., Loaded]) -> None:
    found = agent(load_text(HEAD))
    assert (found.sandbox, found.sandbox_rules) == (SandboxTier.STRICT, SandboxRules())


def test_all_parts_of_a_sandbox_are_read(load_text: Callable[..., Loaded]) -> None:
    text = (
        "    sandbox: {tier: strict, read_only: [/srv/docs], read_write: [/srv/out],"
        " hidden: [keys, a/b], protected: mask, processes: 64, file_megabytes: 10,"
        " memory_megabytes: 512,"
        " address_megabytes: 700, temporary_megabytes: 5, processor_percent: 250,"
        " words_megabytes: 2, cgroup: required}\n"
    )
    found = agent(load_text(HEAD + text))
    assert found.sandbox is SandboxTier.STRICT
    assert found.sandbox_rules == SandboxRules(
        read_only=("/srv/docs",),
        read_write=("/srv/out",),
        hidden=("keys", "a/b"),
        protected=Protection.MASK,
        processes=64,
        file_bytes=10 * 1024**2,
        memory_bytes=512 * 1024**2,
        address_bytes=700 * 1024**2,
        temporary_bytes=5 * 1024**2,
        processor_percent=250,
        words_bytes=2 * 1024**2,
        is_group_required=True,
    )
