"""The request fields of Anthropic Messages and what they mean to governance.

Source: `MessageCreateParamsBase` of the anthropic SDK 2.11.0, beta and not (read 2026-11-21), for
both `anthropic-version`s (2023-06-01 and 2026-10-21).
"""

from typing import Final

from ringfence.protocols.closed_field import ClosedFieldTable
from ringfence.protocols.field import Field, Meaning, only

_READ, _FREE, _PRICED = Meaning.READ, Meaning.FREE, Meaning.PRICED
_OBJECT, _OUTSIDE = Meaning.OBJECT, Meaning.OUTSIDE

_CLEARING: Final = ("clear_tool_uses_", "clear_thinking_")
_BILL_SELF: Final = {"type": "billing_policy", "bill_to": "self"}


def only_clears(value: object) -> bool:
    """Whether `context_management` only takes old results or thinking out of the input."""
    edits = value.get("edits", []) if isinstance(value, dict) else None
    return isinstance(edits, list) and all(
        isinstance(edit, dict) and str(edit.get("type")).startswith(_CLEARING) for edit in edits
    )


FIELDS: Final = ClosedFieldTable(
    [
        Field("model", _READ, "chosen by the configuration's aliases"),
        Field("messages", _READ, "the input"),
        Field("max_tokens", _READ, "the output limit, thinking included"),
        Field("stream", _READ, "how the answer comes"),
        Field("system", _READ, "the input"),
        Field("tools", _READ, "client-side tools, and hosted ones by their type"),
        Field("mcp_servers", _READ, "the provider itself would call these servers"),
        Field("metadata", _READ, "Claude Code names its session in `user_id`"),
        Field("service_tier", _PRICED, "`auto` may use priority capacity", only("standard_only")),
        Field("speed", _PRICED, "fast inference has rates of its own", only("standard")),
        Field("inference_geo", _PRICED, "one region alone costs more", only("global")),
        Field("billing_policy", _PRICED, "chooses who pays", only(_BILL_SELF)),
        Field("fallbacks", _PRICED, "names other models with output limits of their own", only([])),
        Field("compaction", _PRICED, "a pass over the conversation beside the call's own usage"),
        Field("context_management", _PRICED, "compaction is paid for apart", only_clears),
        Field("container", _OBJECT, "files and state of an earlier answer"),
        Field("thread", _OUTSIDE, "the provider keeps the conversation"),
        Field("thread.previous_message_id", _OBJECT, "an earlier conversation joins the input"),
        Field("cache_control", _FREE, "every worst case holds the dearest cache write"),
        Field("diagnostics", _FREE, "compares a fingerprint; brings no input"),
        Field("fallback_credit_token", _FREE, "can only make cache writes cheaper"),
        Field("output_config", _FREE, "effort and format stay within the output limit"),
        Field("output_format", _FREE, "the older place of `output_config.format`"),
        Field("stop_sequences", _FREE, "only ends an answer earlier"),
        Field("temperature", _FREE, "shapes the answer within its output limit"),
        Field("thinking", _FREE, "counts as output, within the limit"),
        Field("tool_choice", _FREE, "chooses among the tools given"),
        Field("top_k", _FREE, "shapes the answer within its output limit"),
        Field("top_p", _FREE, "shapes the answer within its output limit"),
    ]
)
