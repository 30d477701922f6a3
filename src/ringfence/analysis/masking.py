"""Find personal data in a text, in time that grows only with its length.

RE2 never goes back in a text, whatever the pattern (https://github.com/google/re2/wiki/WhyRE2).
What looks right is then checked: a card's and an account's own check digits, a phone's length.
"""

import re
from collections.abc import Callable, Sequence
from typing import Any, Final, final

from ringfence.domain.error import UsageError
from ringfence.domain.masking import Found, Kind, MaskingRules

try:
    import re2
except ImportError:  # an extra; said when somebody wants something masked
    re2 = None

SHORTEST: Final = 5
"""No kind is found in fewer characters."""

_MEMORY_BYTES: Final = 4 * 1024 * 1024
"""For each compiled pattern; RE2 gets slower and never wrong when it needs more."""

_LONGEST_PATTERN: Final = 500

_MOST: Final = 1000
"""So often a pattern of one's own is found in one text; then all that follows is masked, since each
match may have to look at the whole rest of the text."""

_PATTERNS: Final = {
    # RFC 6531: letters of all scripts. A domain with a dot, so that `@decorator` is none.
    Kind.EMAIL: r"[\pL\pN._%+'-]+@[\pL\pN-]+(?:\.[\pL\pN-]+)+",
    # E.164: 15 digits at most. With its country, or as Europe and North America write it.
    Kind.PHONE: r"(?:\+|\b00)[1-9](?:[ ()/.\x{a0}-]{0,3}[0-9]){6,14}"
    r"|\(?\b0[1-9][0-9]{1,4}\)?[ /.-]{1,3}[0-9](?:[ .-]?[0-9]){4,10}"
    r"|\(?\b[2-9][0-9]{2}\)?[ .-][2-9][0-9]{2}[ .-][0-9]{4}\b",
    # ISO/IEC 7812: 13 to 19 digits.
    Kind.CARD: r"\b[2-6](?:[ -]?[0-9]){12,18}\b",
    # ISO 13616: up to 34 letters and digits.
    Kind.IBAN: r"\b[A-Z]{2}[0-9]{2}(?: ?[A-Z0-9]){11,30}\b",
}
_ORDER: Final = (Kind.EMAIL, Kind.IBAN, Kind.CARD, Kind.PHONE)
"""What has check digits comes before what has none: groups of an account look like a phone's."""

_DATE: Final = re.compile(r"\(?\d{1,4}[-./ ]\d{1,2}[-./ ]\d{2,4}(?!\d).*", re.DOTALL)
_GROUP_END: Final = re.compile(r"(?<=[0-9A-Z])(?![0-9A-Z])")
_PHONE_DIGITS: Final = range(7, 16)
_CARD_DIGITS: Final = range(13, 20)
_IBAN_LENGTH: Final = range(15, 35)


@final
class Finder:
    """Finds what the rules of one organisation name; used by one thread at a time."""

    def __init__(self, rules: MaskingRules) -> None:
        """Raises UsageError `masking_unavailable` or `pattern_invalid`."""
        named = [(name, compile_pattern(name, text)) for name, text in rules.patterns.items()]
        wanted = [kind for kind in _ORDER if kind in rules.kinds]
        kinds = [(kind.value, compile_pattern(kind.value, _PATTERNS[kind])) for kind in wanted]
        self._patterns = [*named, *kinds]
        every = [*rules.patterns.values(), *(_PATTERNS[kind] for kind in rules.kinds)]
        self._any = compile_pattern("all", "|".join(f"(?:{each})" for each in every))

    def find(self, text: str) -> Sequence[Found]:
        """What stands in a text, in order; where two overlap, the one named first."""
        if len(text) < SHORTEST and not self._has_own:
            return ()
        text = text.encode("utf-8", "replace").decode()  # lone surrogates are no text
        if self._any.search(text) is None:
            return ()
        found: list[Found] = []
        for name, pattern in self._patterns:
            right = _CHECKS.get(name, _whole)
            for count, match in enumerate(pattern.finditer(text), 1):
                end = right(text, match.start(), match.end())
                if count == _MOST and name not in _CHECKS:
                    end = len(text)
                if end and not any(one.start < end and match.start() < one.end for one in found):
                    found.append(Found(match.start(), end, name))
                if end == len(text):
                    break
        return sorted(found)

    @property
    def _has_own(self) -> bool:
        return any(name not in _CHECKS for name, _ in self._patterns)


def compile_pattern(name: str, text: str) -> Any:  # noqa: ANN401 (the library has no types)
    """A pattern as RE2 reads it.

    Raises UsageError `masking_unavailable` without RE2; `pattern_invalid` for what it does not
    know (looking around, back references), for what matches nothing, and for too much.
    """
    if re2 is None:
        raise UsageError(
            "masking_unavailable",
            "masking needs RE2, which is not installed",
            help="pip install 'ringfence[masking]'",
        )
    options = re2.Options()
    options.max_mem, options.log_errors = _MEMORY_BYTES, False
    try:
        pattern = re2.compile(text, options)
    except re2.error as error:
        why = error.args[0] if error.args else "it cannot be read"
        why = why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
        raise _invalid(name, why) from error
    if name not in {*_CHECKS, "all"} and len(text) > _LONGEST_PATTERN:
        raise _invalid(name, f"it is longer than {_LONGEST_PATTERN} characters")
    if pattern.fullmatch("") is not None:
        raise _invalid(name, "it matches nothing at all, and so everywhere")
    return pattern


def _invalid(name: str, why: str) -> UsageError:
    return UsageError("pattern_invalid", f"pattern `{name}` cannot be used: {why}")


def _whole(text: str, start: int, end: int) -> int:
    del text, start
    return end


def _phone(text: str, start: int, end: int) -> int:
    """Its end if it can be a phone's number: not part of something longer, and no date."""
    said = text[start:end]
    digits = sum(each.isdigit() for each in said)
    is_inside = start and (text[start - 1].isalnum() or text[start - 1] in "+-.")
    is_inside = is_inside or text[end : end + 1].isdigit()
    is_date = said[0] != "+" and _DATE.fullmatch(said) is not None
    return 0 if is_inside or is_date or digits not in _PHONE_DIGITS else end


def _card(text: str, start: int, end: int) -> int:
    """The end of the longest beginning whose last digit is the right one (Luhn)."""
    for stop in _ends(text, start, end):
        digits = [int(each) for each in text[start:stop] if each.isdigit()]
        if len(digits) in _CARD_DIGITS and _luhn(digits) == 0:
            return stop
    return 0


def _luhn(digits: Sequence[int]) -> int:
    doubled = [sum(divmod(2 * each, 10)) for each in digits[-2::-2]]
    return (sum(digits[-1::-2]) + sum(doubled)) % 10


def _iban(text: str, start: int, end: int) -> int:
    """The end of the longest beginning whose check digits are right (ISO 7064, mod 97)."""
    for stop in _ends(text, start, end):
        said = text[start:stop].replace(" ", "")
        if len(said) not in _IBAN_LENGTH:
            continue
        if int("".join(str(int(each, 36)) for each in said[4:] + said[:4])) % 97 == 1:
            return stop
    return 0


def _ends(text: str, start: int, end: int) -> list[int]:
    """Where groups of digits and letters end, the last first."""
    return [start + each.end() for each in _GROUP_END.finditer(text[start:end])][::-1]


_CHECKS: Final[dict[str, Callable[[str, int, int], int]]] = {
    Kind.EMAIL.value: _whole,
    Kind.PHONE.value: _phone,
    Kind.CARD.value: _card,
    Kind.IBAN.value: _iban,
}
