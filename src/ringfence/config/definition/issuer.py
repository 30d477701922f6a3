"""Issuers: whose signed tokens prove users."""

import re
from pathlib import Path

from ringfence.config.definition.address import is_exposed, read_url
from ringfence.config.problem import nearest, shown
from ringfence.config.section import Section
from ringfence.domain.error import PeerError
from ringfence.domain.issuer import Issuer, SignatureAlgorithm
from ringfence.protocols import jwt

_TEXT = re.compile(r"[!-~]{1,500}")
_TEXT_HELP = "use visible ASCII characters without spaces, at most 500"
_CLAIM = re.compile(r"[!-~]{1,128}")
_PATH = re.compile(r"[^\x00-\x1f\x7f]{1,1024}")
_LARGEST_BYTES = 256 * 1024
_LONGEST_SKEW_S = 300
_PLAIN = Issuer(name="", issuer="", audience="")


def read_issuers(root: Section, folder: Path) -> dict[str, Issuer]:
    """Read `issuers`; key files are relative to the file that names them."""
    found = {name: _read(name, each, folder) for name, each in root.named("issuers", "issuer")}
    seen: dict[str, str] = {}
    for name, issuer in found.items():
        first = seen.setdefault(issuer.issuer, name)
        if first != name and issuer.issuer:
            what = f"issuers {shown(first)} and {shown(name)} have one `issuer`"
            root.problem(root.at("issuers"), what, "keep one of them")
    return found


def _read(name: str, section: Section, folder: Path) -> Issuer:
    section.require("issuer", "audience")
    if ("keys" in section) == ("keys_url" in section):
        what = f"{section.where} needs one of `keys` and `keys_url`"
        section.problem(section.place, what, "a file with a JSON Web Key Set, or its https URL")
    issuer = Issuer(
        name=name,
        issuer=section.text("issuer", pattern=_TEXT, rule=_TEXT_HELP),
        audience=section.text("audience", pattern=_TEXT, rule=_TEXT_HELP),
        keys=_read_keys(section, folder),
        keys_url=_read_url(section),
        algorithms=_read_algorithms(section),
        user_claim=section.text("user_claim", _PLAIN.user_claim, pattern=_CLAIM, rule=_TEXT_HELP),
        users=tuple(item.value for item in section.distinct("users")) or _PLAIN.users,
        clock_skew_s=section.whole("clock_skew", _PLAIN.clock_skew_s, most=_LONGEST_SKEW_S) or 0,
    )
    section.close()
    return issuer


def _read_url(section: Section) -> str:
    if "keys_url" not in section:
        return ""
    url = read_url(section, "keys_url", query=True)
    if is_exposed(url):
        what = f"{section.where} would take its keys from a public host without encryption"
        section.problem(section.at("keys_url"), what, "use https")
    return url


def _read_keys(section: Section, folder: Path) -> str:
    item = section.item("keys")
    if item is None or not section.text("keys", pattern=_PATH):
        return ""
    try:
        with (folder / item.value).open("rb") as file:
            data = file.read(_LARGEST_BYTES + 1)
        if len(data) > _LARGEST_BYTES:
            section.problem(item.place, f"key file {shown(item.written)} is too large")
            return ""
        jwt.read_keys(data)
    except OSError as error:
        what = f"key file {shown(item.written)} cannot be read"
        section.problem(item.place, what, (error.strerror or "").lower())
        return ""
    except PeerError as error:
        what = f"key file {shown(item.written)} is no JSON Web Key Set of public keys"
        section.problem(item.place, what, error.message)
        return ""
    return data.decode()


def _read_algorithms(section: Section) -> tuple[SignatureAlgorithm, ...]:
    known = {each.value: each for each in SignatureAlgorithm}
    chosen: list[SignatureAlgorithm] = []
    for item in section.distinct("algorithms"):
        if item.value in known:
            chosen.append(known[item.value])
        else:
            what = f"unknown algorithm {shown(item.written)} in {section.where}"
            section.problem(item.place, what, nearest(item.written, known))
    return tuple(chosen) or _PLAIN.algorithms
