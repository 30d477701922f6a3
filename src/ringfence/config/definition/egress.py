"""`egress`: how the requests of sandboxes leave, whatever agent they come from."""

import ipaddress
from dataclasses import replace
from pathlib import Path
from typing import Final

from ringfence.config.definition.address import read_hosts
from ringfence.config.definition.timeout import read_timeouts
from ringfence.config.problem import shown
from ringfence.config.section import Section
from ringfence.domain.egress import EgressRules
from ringfence.domain.error import PeerError
from ringfence.protocols.host_name import read_host

_LONGEST_S: Final = 86_400
_KEPT_MOST: Final = 4 * 1024 * 1024
_NETWORK_HELP: Final = "write a range without host bits, like 10.1.0.0/16 or fd12:3456::/48"


def read_egress(root: Section, folder: Path) -> EgressRules:
    """Read `egress`; a relative path of `authority` begins at `folder`."""
    rules = EgressRules()
    section = root.section("egress", "`egress`", "egress: {networks: [10.1.0.0/16]}")
    if section is None:
        return rules
    rules = replace(
        rules,
        networks=_read_networks(section),
        addresses=_read_addresses(section),
        authority=_read_authority(section, folder),
        uninspected=read_hosts(section, "uninspected"),
        kept_bytes=_whole(section, "kept_bytes", rules.kept_bytes, most=_KEPT_MOST),
        approval_s=_whole(section, "approval_seconds", rules.approval_s, most=3600),
    )
    rules = _with_timeouts(rules, section)
    section.close()
    return rules


def _read_networks(section: Section) -> tuple[str, ...]:
    found: list[str] = []
    for item in section.distinct("networks"):
        try:
            found.append(str(ipaddress.ip_network(item.value)))
        except ValueError:
            what = f"{shown(item.written)} in `networks` of `egress` is no range of addresses"
            section.problem(item.place, what, _NETWORK_HELP)
    return tuple(found)


def _read_addresses(section: Section) -> dict[str, str]:
    inner = section.section(
        "addresses", "`addresses` of `egress`", "addresses: {a.example: 10.1.0.7}"
    )
    found: dict[str, str] = {}
    for name in inner or ():
        item = inner.item(name) if inner is not None else None
        if inner is None or item is None:
            continue
        try:
            host = read_host(name)
            address = str(ipaddress.ip_address(item.value))
        except (PeerError, ValueError):
            what = f"`addresses` of `egress` cannot lead {shown(name)} to {shown(item.written)}"
            inner.problem(item.place, what, "write a host name and one address")
            continue
        found[host.host] = address
    return found


def _read_authority(section: Section, folder: Path) -> str:
    item = section.item("authority")
    if item is None:
        return ""
    path = folder / item.value
    if not path.is_file():
        what = f"`authority` of `egress` is {shown(item.written)}, which is no file"
        section.problem(item.place, what, "name a file of certificates in PEM")
    return str(path)


def _with_timeouts(rules: EgressRules, section: Section) -> EgressRules:
    usual = {
        "connect": rules.connect_timeout_s,
        "idle": rules.idle_timeout_s,
        "total": rules.total_timeout_s,
    }
    found = read_timeouts(section, usual, longest_s=_LONGEST_S, example="timeouts: {idle: 300}")
    return replace(
        rules,
        connect_timeout_s=found["connect"],
        idle_timeout_s=found["idle"],
        total_timeout_s=found["total"],
    )


def _whole(section: Section, key: str, default: int, *, most: int) -> int:
    value = section.whole(key, default, most=most)
    return default if value is None else value
