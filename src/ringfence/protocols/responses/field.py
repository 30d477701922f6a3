"""The request fields of OpenAI Responses and what they mean to governance.

Source: `ResponseCreateParamsBase` of the openai SDK 3.52.0 (read 2026-11-21), and the fields that
Codex 0.169.0 adds.
"""

from typing import Final

from ringfence.protocols.closed_field import ClosedFieldTable
from ringfence.protocols.field import Field, Meaning, free, is_off, only

_READ, _FREE, _PRICED = Meaning.READ, Meaning.FREE, Meaning.PRICED
_OBJECT, _ID = Meaning.OBJECT, Meaning.CLIENT_ID

_SAMPLING: Final = "shapes the answer within its output limit"


def _is_standard(value: object) -> bool:
    return isinstance(value, dict) and all(program == "standard" for program in value.values())


FIELDS: Final = ClosedFieldTable(
    [
        Field("model", _READ, "chosen by the configuration's aliases"),
        Field("input", _READ, "the input"),
        Field("instructions", _READ, "part of the input"),
        Field("stream", _READ, "how the answer comes"),
        Field("max_output_tokens", _READ, "the output limit"),
        Field("tools", _READ, "client-side tools, and hosted ones by their type"),
        Field("store", _READ, "whether the provider keeps the answer, which is free"),
        Field("previous_response_id", _OBJECT, "an earlier answer and its input join the input"),
        Field("conversation", _OBJECT, "its items join the input"),
        Field("prompt", _OBJECT, "a template kept at the provider joins the input"),
        Field("prompt_cache_options.comparison_response_id", _OBJECT, "reads another answer"),
        Field("background", _PRICED, "the answer comes after the call was settled", is_off),
        Field("context_management", _PRICED, "compaction is a further pass of the model"),
        Field("access_programs", _PRICED, "chooses a special access program", _is_standard),
        Field("moderation", _PRICED, "a second model reads input and output"),
        Field("service_tier", _PRICED, "each tier has rates of its own", only("default")),
        Field("reasoning.mode", _PRICED, "`pro` is paid beyond the answer", only("standard")),
        Field("prompt_cache_options.ttl", _PRICED, "longer writes may cost more", only("30m")),
        Field("prompt_cache_options.prewarm", _FREE, "makes less output, not more"),
        Field("prompt_cache_retention", _PRICED, "longer writes may cost more", only("in_memory")),
        Field("client_metadata", _ID, "Codex: names the installation"),
        Field("metadata", _ID, "kept beside the answer; clients put ids there"),
        Field("prompt_cache_key", _ID, "clients name their run by it"),
        Field("session_id", _ID, "frameworks: names the run"),
        Field("safety_identifier", _ID, "names the user"),
        Field("user", _ID, "names the user, older name"),
        Field("image", _FREE, "how images are compressed; each is bounded by itself"),
        Field("include", _FREE, "adds to the answer, not to what is paid"),
        Field("max_tool_calls", _READ, "how often hosted tools may be used, all together"),
        Field("parallel_tool_calls", _FREE, "how calls are ordered, not how many"),
        Field("reasoning", _FREE, "reasoning counts as output, within the limit"),
        Field("stream_options", _FREE, "padding of events"),
        Field("temperature", _FREE, _SAMPLING),
        Field("text", _FREE, "its schema is in the body"),
        Field("tool_choice", _FREE, "chooses among the tools given"),
        Field("top_logprobs", _FREE, "adds to the answer, not to what is paid"),
        Field("top_p", _FREE, _SAMPLING),
        Field("truncation", _FREE, "drops input, never adds"),
        # Fields of compatible servers.
        *free(
            "top_k min_p seed stop logit_bias frequency_penalty presence_penalty verbosity"
            " repetition_penalty ignore_eos stop_token_ids min_tokens",
            _SAMPLING,
        ),
        *free(
            "skip_special_tokens include_stop_str_in_output cache_salt chat_template_kwargs",
            "vLLM: as in Chat Completions",
        ),
    ]
)
