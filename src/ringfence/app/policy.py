"""Whether policies fit the tools that are known, before they are taken and when a plane begins."""

from collections.abc import Mapping
from pathlib import Path

from ringfence.config.definition.policy import judge_policies, policies_folder
from ringfence.config.problem import Problems
from ringfence.domain.organisation import Configuration, Organisation
from ringfence.domain.policy import ToolFacts
from ringfence.enforcement.tool_custody import ToolCustody

Known = Mapping[str, Mapping[str, ToolFacts]]
"""What is known of tools, by organisation's name and by tool."""


def known_tools(configuration: Configuration, custody: ToolCustody) -> Known:
    """The tools in force of every organisation that has policy files."""
    return {
        name: custody.facts(organisation.id)
        for name, organisation in configuration.organisations.items()
    }


def trouble_of(organisation: Organisation, known: Known, config: Path) -> str:
    """What does not fit in an organisation's policies; empty if all does; blocks."""
    if organisation.policies is None:
        return ""
    problems = Problems()
    place = policies_folder(organisation.policies, config)
    judge_policies(organisation, place, problems, known.get(organisation.name, {}))
    return next((f"{each.place}: {each.what}" for each in problems.found()), "")


def judge_all(proposed: Configuration, known: Known, config: Path) -> Problems:
    """Everything in the policies of a configuration that does not fit the tools; blocks.

    `config` is the file that it was read from.
    """
    problems = Problems()
    for name, organisation in proposed.organisations.items():
        if organisation.policies is not None:
            place = policies_folder(organisation.policies, config)
            judge_policies(organisation, place, problems, known.get(name, {}))
    return problems
