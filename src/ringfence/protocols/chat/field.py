"""The request fields of OpenAI Chat Completions and what they mean to governance.

Source: `CompletionCreateParamsBase` of the openai SDK 3.52.0 (read 2026-11-21), then fields that
compatible servers add.
"""

from typing import Final

from ringfence.protocols.closed_field import ClosedFieldTable
from ringfence.protocols.field import Field, Meaning, free, is_off, only

_READ, _FREE, _PRICED = Meaning.READ, Meaning.FREE, Meaning.PRICED
_OUTSIDE, _OBJECT, _HOSTED, _ID = (
    Meaning.OUTSIDE,
    Meaning.OBJECT,
    Meaning.HOSTED,
    Meaning.CLIENT_ID,
)

_SAMPLING: Final = "shapes the answer within its output limit"


def is_text_only(value: object) -> bool:
    """Whether `modalities` asks for nothing but text."""
    return isinstance(value, list) and all(item == "text" for item in value)


FIELDS: Final = ClosedFieldTable(
    [
        Field("messages", _READ, "the input"),
        Field("model", _READ, "chosen by the configuration's aliases"),
        Field("stream", _READ, "how the answer comes"),
        Field("stream_options", _READ, "usage of a stream is asked for and stripped here"),
        Field("max_completion_tokens", _READ, "the output limit"),
        Field("max_tokens", _READ, "the output limit, older name"),
        Field("n", _READ, "every answer is paid for"),
        Field("tools", _READ, "client-side tools, and hosted ones by their type"),
        Field("functions", _READ, "client-side tools, older form"),
        Field("audio", _PRICED, "sound is paid for at rates of its own"),
        Field("modalities", _PRICED, "sound is paid for at rates of its own", is_text_only),
        Field("moderation", _PRICED, "a second model reads input and output"),
        Field("prediction", _PRICED, "rejected tokens are paid for beyond the output limit"),
        Field("service_tier", _PRICED, "each tier has rates of its own", only("default")),
        Field("prompt_cache_options.ttl", _PRICED, "longer writes may cost more", only("30m")),
        Field("prompt_cache_options.comparison_response_id", _OBJECT, "reads another answer"),
        Field("prompt_cache_options.prewarm", _FREE, "makes less output, not more"),
        Field("prompt_cache_retention", _PRICED, "longer writes may cost more", only("in_memory")),
        Field("web_search_options", _HOSTED, "the provider searches and is paid per search"),
        Field("metadata", _ID, "kept beside the answer; clients put ids there"),
        Field("prompt_cache_key", _ID, "clients name their run by it"),
        Field("safety_identifier", _ID, "names the user"),
        Field("user", _ID, "names the user, older name"),
        Field("frequency_penalty", _FREE, _SAMPLING),
        Field("function_call", _FREE, "chooses among the functions given"),
        Field("logit_bias", _FREE, _SAMPLING),
        Field("logprobs", _FREE, "adds to the answer, not to what is paid"),
        Field("parallel_tool_calls", _FREE, "client-side calls only"),
        Field("presence_penalty", _FREE, _SAMPLING),
        Field("reasoning_effort", _FREE, "reasoning counts as output, within the limit"),
        Field("response_format", _FREE, "its schema is in the body"),
        Field("seed", _FREE, _SAMPLING),
        Field("stop", _FREE, "only ends an answer earlier"),
        Field("store", _FREE, "keeping an answer is free"),
        Field("temperature", _FREE, _SAMPLING),
        Field("tool_choice", _FREE, "chooses among the tools given"),
        Field("top_logprobs", _FREE, "adds to the answer, not to what is paid"),
        Field("top_p", _FREE, _SAMPLING),
        Field("verbosity", _FREE, _SAMPLING),
        # Fields of compatible servers.
        Field("best_of", _READ, "vLLM: makes that many answers and gives the best"),
        Field("session_id", _ID, "OpenRouter and frameworks: names the run"),
        Field("use_beam_search", _PRICED, "vLLM: several answers are made at once", is_off),
        Field("models", _PRICED, "OpenRouter: names models to fall back to"),
        Field("provider", _PRICED, "OpenRouter: chooses who serves, and at which price"),
        Field("route", _PRICED, "OpenRouter: chooses among models"),
        Field("preset", _PRICED, "OpenRouter: settings kept at the provider"),
        Field("plugins", _HOSTED, "OpenRouter: web search and file reading by the provider"),
        Field("search_parameters", _HOSTED, "xAI: the provider searches"),
        Field("search_settings", _HOSTED, "Groq: the provider searches"),
        Field("compound_custom", _HOSTED, "Groq: the provider runs tools"),
        Field("enable_search", _HOSTED, "Qwen: the provider searches", is_off),
        Field("web_search", _HOSTED, "several servers: the provider searches", is_off),
        Field("data_sources", _OUTSIDE, "Azure: documents of a search index join the input"),
        Field("documents", _FREE, "vLLM: documents that are in the body"),
        *free(
            "top_k top_a min_p typical_p tfs_z repetition_penalty repeat_penalty repeat_last_n"
            " length_penalty no_repeat_ngram_size min_tokens ignore_eos stop_token_ids bad_words"
            " allowed_token_ids random_seed mirostat mirostat_eta mirostat_tau mirostat_mode"
            " dynatemp_range dynatemp_exponent xtc_probability xtc_threshold dry_multiplier"
            " dry_base dry_allowed_length dry_penalty_last_n dry_sequence_breakers",
            _SAMPLING,
        ),
        *free(
            "guided_json guided_regex guided_choice guided_grammar guided_decoding_backend"
            " guided_whitespace_pattern structured_outputs grammar json_schema format",
            "a form of the answer that is in the body",
        ),
        *free(
            "thinking enable_thinking thinking_budget think reasoning include_reasoning"
            " reasoning_format reasoning_split chat_template_kwargs",
            "reasoning counts as output, within the limit",
        ),
        *free(
            "echo usage prompt_logprobs skip_special_tokens spaces_between_special_tokens"
            " include_stop_str_in_output return_token_ids return_tokens_as_token_ids"
            " timings_per_token tool_stream citation_options",
            "how the answer is shown",
        ),
        *free(
            "add_generation_prompt continue_final_message add_special_tokens cache_prompt"
            " cache_salt keep_alive",
            "how a server of one's own reads and keeps the input",
        ),
        *free(
            "transforms context_length_exceeded_behavior prompt_truncate_len"
            " truncate_prompt_tokens",
            "drops input, never adds",
        ),
    ]
)
