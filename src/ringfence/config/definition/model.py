"""Models: the aliases that agents ask for."""

import re
from collections.abc import Mapping

from ringfence.config.definition import price
from ringfence.config.definition.pace import read_breaker, read_pace
from ringfence.config.problem import shown
from ringfence.config.section import Section
from ringfence.domain.model import InputBound, Model

_ALIAS = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:@/-]{0,127}")
_ALIAS_HELP = "use letters, digits and `._:@/-`, at most 128, a letter or digit first"
_UPSTREAM = re.compile(r"[!-~]{1,200}")
_UPSTREAM_HELP = "write the provider's own name for the model, without spaces"
_FEATURE = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_NO_BOUND = InputBound()


def read_models(root: Section) -> dict[str, Model]:
    """Read `models`."""
    providers = root.names("providers")
    definitions = root.named("models", "model", pattern=_ALIAS, rule=_ALIAS_HELP)
    return {name: _read(name, section, providers) for name, section in definitions}


def _read(name: str, section: Section, providers: Mapping[str, object]) -> Model:
    section.require("provider")
    provider = section.item("provider")
    if provider:
        section.reference(provider, "provider", providers)
    model = Model(
        name=name,
        provider=provider.value if provider else "",
        upstream=section.text("upstream", name, pattern=_UPSTREAM, rule=_UPSTREAM_HELP),
        fallback=_read_fallback(name, section),
        price=price.read(section, "price"),
        ceiling=price.read(section, "ceiling"),
        input_bound=_read_input_bound(section),
        image_tokens=section.whole("image_tokens", least=1),
        media_tokens=section.whole("media_tokens", least=1),
        hosted_tools=_read_features(section, "hosted_tools"),
        hosted_uses=section.whole("hosted_uses", least=1),
        hosted_tokens=section.whole("hosted_tokens"),
        allow_priced_fields=_read_features(section, "allow_priced_fields"),
        pace=read_pace(section),
        breaker=read_breaker(section),
    )
    section.close()
    _judge(model, section)
    return model


def _read_fallback(name: str, section: Section) -> tuple[str, ...]:
    items = section.distinct("fallback")
    for item in items:
        section.reading.fallbacks[name, item.value] = item
    return tuple(item.value for item in items)


def _read_input_bound(section: Section) -> InputBound:
    inner = section.section("input_bound", f"`input_bound` of {section.where}")
    if inner is None:
        return _NO_BOUND
    bound = InputBound(
        initial_tokens_per_byte=inner.ratio(
            "initial_tokens_per_byte", _NO_BOUND.initial_tokens_per_byte, above=0, most=4
        ),
        margin_ratio=inner.ratio("margin", _NO_BOUND.margin_ratio, above=0, most=10),
        learns=True,
    )
    inner.close()
    return bound


def _read_features(section: Section, key: str) -> frozenset[str]:
    items = section.distinct(key)
    for item in items:
        if not _FEATURE.fullmatch(item.value):
            what = f"an entry of `{key}` in {section.where} is not valid"
            section.problem(item.place, what, "use the word that clients send, like web_search")
    return frozenset(item.value for item in items)


def _judge(model: Model, section: Section) -> None:
    if model.allow_priced_fields and model.price is None and model.ceiling is None:
        what = f"`allow_priced_fields` of {section.where} has no price that bounds it"
        help_ = "add `price` with the highest rates that these fields can lead to"
        section.problem(section.at("allow_priced_fields"), what, help_)
    if model.hosted_tools and (model.hosted_uses is None or model.hosted_tokens is None):
        what = f"`hosted_tools` of {section.where} has no bound, so these tools are refused"
        help_ = "add `hosted_uses` and `hosted_tokens`: uses in a call, input tokens of a use"
        section.reading.notes.add(section.at("hosted_tools"), what, help_)
    if model.price is None:
        return
    if model.ceiling is not None:
        what = f"`ceiling` of {section.where} has no effect beside `price`"
        section.reading.notes.add(section.at("ceiling"), what, "remove one of them")
    fees = {name for name, _ in model.price.hosted}
    for item in section.items("hosted_tools"):
        if item.value not in fees:
            what = f"hosted tool {shown(item.written)} of {section.where} has no fee"
            help_ = "add it to `hosted` of the price, in US dollars per use"
            section.problem(item.place, what, help_)
