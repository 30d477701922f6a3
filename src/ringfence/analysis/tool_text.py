"""Characters that people do not see, or take for others, in what a tool says of itself."""

import unicodedata
from typing import Final

_FORMAT: Final = frozenset({"Cf", "Co", "Cn", "Cs"})
_HARMLESS: Final = frozenset("\u00ad")
_VARIATION: Final = (range(0xFE00, 0xFE10), range(0xE0100, 0xE01F0))
_BLANKS: Final = frozenset("\u115f\u1160\u3164\uffa0\u2800\u034f\u17b4\u17b5")
"""Letters and marks by their category, drawn as nothing."""

# What is drawn like a Latin letter: the common part of Unicode TR 39's confusables, for scripts
# that are met in attacks (Cyrillic, Greek, Armenian, small capitals).
_LOOKALIKES: Final = {
    ord(drawn): latin
    for latin, all_drawn in (
        ("a", "аαɑ"),
        ("b", "ь"),
        ("c", "сϲᴄ"),
        ("d", "ԁ"),
        ("e", "еε"),
        ("g", "ɡց"),
        ("h", "һհ"),
        ("i", "іιı"),
        ("j", "ј"),
        ("k", "кκ"),
        ("m", "м"),
        ("n", "пηո"),
        ("o", "оοօ"),
        ("p", "рρ"),
        ("q", "ԛզ"),
        ("r", "гᴦ"),
        ("s", "ѕ"),
        ("t", "тτ"),
        ("u", "υս"),
        ("v", "ѵν"),
        ("w", "ԝω"),
        ("x", "хχ"),
        ("y", "уγү"),
        ("z", "ᴢ"),
        ("A", "АΑ"),
        ("B", "ВΒ"),
        ("C", "С"),
        ("E", "ЕΕ"),
        ("H", "НΗ"),
        ("I", "ІΙ"),
        ("J", "Ј"),
        ("K", "КΚ"),
        ("M", "МΜ"),
        ("N", "Ν"),
        ("O", "ОΟՕ"),
        ("P", "РΡ"),
        ("S", "ЅՏ"),
        ("T", "ТΤ"),
        ("X", "ХΧ"),
        ("Y", "ҮΥ"),
        ("Z", "Ζ"),
    )
    for drawn in all_drawn
}
_STROKES: Final = str.maketrans("01|l", "oiii")
"""Signs that are drawn alike within Latin itself."""


def hidden(text: str) -> tuple[str, ...]:
    """What in a text is drawn as nothing or turns its direction, each as `U+XXXX NAME`, once.

    The joiner within an emoji and the variation sign after one are what they seem.
    """
    found: dict[str, None] = {}
    for at, character in enumerate(text):
        if character.isascii():
            if character < " " and character not in "\n\r\t":
                found[_named(character)] = None
        elif _is_hidden(character) and not _is_emoji(text, at):
            found[_named(character)] = None
    return tuple(found)


def visible(text: str) -> str:
    """The text with each hidden character written out, for people to read."""
    if text.isascii():
        return text
    return "".join(
        f"<U+{ord(each):04X}>" if not each.isascii() and _is_hidden(each) else each for each in text
    )


def skeleton(name: str) -> str:
    """What a name looks like; two names with one skeleton are taken for each other.

    Source: Unicode TR 39 section 4, with a small table; separators of names count as one.
    """
    plain = unicodedata.normalize("NFKD", name)
    drawn = "".join(c for c in plain if not _is_hidden(c) and not unicodedata.combining(c))
    return drawn.translate(_LOOKALIKES).casefold().translate(_STROKES).replace("-", "_")


def _is_hidden(character: str) -> bool:
    if character in _BLANKS:
        return True
    code = ord(character)
    if any(code in each for each in _VARIATION):
        return True
    return unicodedata.category(character) in _FORMAT and character not in _HARMLESS


def _is_emoji(text: str, at: int) -> bool:
    """Whether a joiner or variation sign follows a symbol, as in written emoji."""
    if text[at] not in "\u200d\ufe0e\ufe0f":
        return False
    before = text[at - 1] if at else ""
    return bool(before) and (
        unicodedata.category(before) in {"So", "Sk"} or before in "\ufe0f0123456789#*"
    )


def _named(character: str) -> str:
    return f"U+{ord(character):04X} {unicodedata.name(character, 'unnamed')}"
