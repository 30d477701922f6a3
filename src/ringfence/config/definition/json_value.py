"""Values that are passed on as JSON: what stands without quotes may be a number or true or null."""

import json
import re

from ringfence.config.tree import Items, Node, Table, Text

_NUMBER = re.compile(r"-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?")


def json_text(node: Node) -> bytes:
    """A value as JSON has it, without spaces."""
    return json.dumps(_json(node), ensure_ascii=False, separators=(",", ":")).encode()


def _json(node: Node) -> object:
    match node:
        case Text(text, is_plain):
            if is_plain and (text in {"true", "false"} or _NUMBER.fullmatch(text)):
                return json.loads(text)
            return None if node.is_nothing else text
        case Items():
            return [_json(item) for item in node.items]
        case Table():
            return {key: _json(entry.value) for key, entry in node.entries.items()}
