"""How an agent is run in isolation: its minimum tier alone, or with what its sandbox is made of."""

import posixpath
from enum import StrEnum
from typing import Final

from ringfence.config.problem import shown
from ringfence.config.section import Section
from ringfence.config.tree import Table
from ringfence.domain.agent import Protection, SandboxRules, SandboxTier

_MEGABYTE: Final = 1024 * 1024
_MOST_MEGABYTES: Final = 1024 * 1024
_MOST_PERCENT: Final = 100 * 1024
_PLACE_HELP: Final = "write an absolute path without `..`, like /srv/docs or ${HOME}/docs"
_PART_HELP: Final = "write a path below the workspace, like secrets or config/keys"


class _Group(StrEnum):
    """Whether a sandbox is started where no control group can bound it."""

    USED = "used"
    REQUIRED = "required"


def read_sandbox(section: Section) -> tuple[SandboxTier, SandboxRules]:
    """Read `sandbox` of an agent: a word, or a mapping with `tier` and more."""
    if not isinstance(section.node("sandbox"), Table):
        return section.word("sandbox", SandboxTier.STRICT), SandboxRules()
    inner = section.section("sandbox", f"`sandbox` of {section.where}")
    if inner is None:
        return SandboxTier.STRICT, SandboxRules()
    usual = SandboxRules()
    tier = inner.word("tier", SandboxTier.STRICT)
    rules = SandboxRules(
        read_only=_places(inner, "read_only"),
        read_write=_places(inner, "read_write"),
        hidden=_parts(inner, "hidden"),
        protected=inner.word("protected", usual.protected),
        processes=inner.whole("processes", usual.processes, least=16, most=1_000_000) or 0,
        file_bytes=_bytes(inner, "file_megabytes", usual.file_bytes) or 0,
        memory_bytes=_bytes(inner, "memory_megabytes", usual.memory_bytes),
        address_bytes=_bytes(inner, "address_megabytes", usual.address_bytes),
        temporary_bytes=_bytes(inner, "temporary_megabytes", usual.temporary_bytes) or 0,
        processor_percent=inner.whole("processor_percent", least=1, most=_MOST_PERCENT),
        words_bytes=_bytes(inner, "words_megabytes", usual.words_bytes) or 0,
        is_group_required=inner.word("cgroup", _Group.USED) is _Group.REQUIRED,
    )
    if rules.is_group_required and tier is SandboxTier.NONE:
        what = f"`cgroup` in {inner.where} holds where there is a sandbox"
        inner.problem(
            inner.at("cgroup"), what, "make `tier` strict or reduced, or leave `cgroup` out"
        )
    if rules.hidden and tier is not SandboxTier.STRICT:
        what = f"`hidden` in {inner.where} holds in the strict tier alone"
        inner.problem(inner.at("hidden"), what, "make `tier` strict, or leave `hidden` out")
    if rules.protected is Protection.MASK and tier is not SandboxTier.STRICT:
        what = f"`protected: mask` in {inner.where} holds in the strict tier alone"
        inner.problem(inner.at("protected"), what, "make `tier` strict, or leave it out")
    inner.close()
    return tier, rules


def _places(section: Section, key: str) -> tuple[str, ...]:
    items = section.distinct(key)
    for item in items:
        is_whole = posixpath.isabs(item.value) and posixpath.normpath(item.value) == item.value
        if not is_whole or item.value == "/" or item.value.startswith("//"):
            what = f"{shown(item.written)} in `{key}` of {section.where} is no place to show"
            section.problem(item.place, what, _PLACE_HELP)
    return tuple(item.value for item in items)


def _parts(section: Section, key: str) -> tuple[str, ...]:
    items = section.distinct(key)
    for item in items:
        parts = item.value.split("/")
        if posixpath.normpath(item.value) != item.value or parts[0] in {"", ".", ".."}:
            what = f"{shown(item.written)} in `{key}` of {section.where} lies in no workspace"
            section.problem(item.place, what, _PART_HELP)
    return tuple(item.value for item in items)


def _bytes(section: Section, key: str, default: int | None) -> int | None:
    found = section.whole(key, least=1, most=_MOST_MEGABYTES)
    return default if found is None else found * _MEGABYTE
