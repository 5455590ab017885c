"""Rule for pictures, price and longest answer of a model, known before any call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from importlib.metadata import version
from typing import Any

from atari_vlm.costs.picture_tokens import FAMILIES, MOST, at_detail, family_of, video_family
from atari_vlm.costs.prices import Price, listed_price
from atari_vlm.errors import UnknownName
from atari_vlm.models.catalogue import MODELS, ModelSpec, get_model_spec
from atari_vlm.models.hosted.dialects import GENERIC, get_dialect
from atari_vlm.models.hosted.settings import HostedSettings

_OTHERS = "qwen2-vl"
"""The rule that is assumed of models whose family is not known, in the expected case."""


def spec_of(name: str, base_url: str | None) -> ModelSpec | None:
    """The catalogue's row of a model; None for models of a server or a folder that it lacks.

    Raises:
        UnknownName: no model has this name.
    """
    if base_url is not None:
        return MODELS.get(name.lower())
    try:
        return get_model_spec(name)
    except UnknownName:
        if name.startswith(("local:", "/", "./", "../", "~")):
            return None
        raise


def rule_of(spec: ModelSpec | None, settings: Mapping[str, Any]) -> tuple[str, str, str]:
    """The rule that counts the model's pictures, that of the worst case, and a sentence about both.

    The sentence is one of the assumptions. In the worst case a model whose rule is not known counts
    as the most expensive one that is.
    """
    detail = str(settings.get("detail") or "auto")
    if spec is not None and spec.images:
        rule = at_detail(spec.images, detail)
        return rule, rule, f"Pictures are counted by the rule {rule!r}."
    model_id = (spec.model_id if spec else str(settings["model"])).lower()
    providers = (spec.provider,) if spec else ("openai", "anthropic", "google")
    begins = {"anthropic": "claude"}
    families = (
        family_of(provider, model_id, detail)
        for provider in providers
        if spec or model_id.startswith(begins.get(provider, ""))
    )
    rule = next((family for family in families if family != MOST), _OTHERS)
    tokens = FAMILIES[MOST](160, 210)
    own = spec is None or rule == _OTHERS
    worst = MOST if own else rule
    said = (
        f"; the worst case takes the most expensive known one, {tokens:,} tokens for a native "
        "screen"
        if own
        else ""
    )
    return (
        rule,
        worst,
        f"Pictures are counted by the rule {rule!r}, which is assumed: no rule is known for "
        f"{settings['model']}{said}.",
    )


def video_rule_of(spec: ModelSpec | None, settings: Mapping[str, Any]) -> tuple[str, str]:
    """The rule that counts the frames of a video, and a sentence about it; both empty for none."""
    if not settings.get("video"):
        return "", ""
    if spec is None or spec.provider != "google":
        return "", (
            " The screens are counted as pictures, although they are shown as a video: no rule is "
            "known for those of models in this process."
        )
    rule = video_family(spec.model_id, settings.get("detail", "auto"))
    tokens = FAMILIES[rule](160, 210)
    return rule, (
        f" The newest screens are one video: {tokens} tokens a frame by the rule {rule!r}, time "
        "stamp included, at any size."
    )


def price_of(
    spec: ModelSpec | None, settings: Mapping[str, Any], day: date
) -> tuple[Price | None, str]:
    """The price on a day and its source; the price is None if it is unknown or there is none."""
    if settings["base_url"] is not None:
        name = spec.model_id if spec else str(settings["model"])
        listed = get_dialect(settings.get("dialect") or GENERIC).price_list
        known = listed_price(listed, name) if listed else None
        return known, "unknown: a server of your own" if known is None else f"{listed}'s list"
    if spec is None or spec.provider in ("embedded", "local"):
        return None, "none: weights of your own"
    price, since = spec.price_on(day), spec.price_day(day)
    if price is not None:
        return price, f"of {since}"
    return _list_price(spec)


def _list_price(spec: ModelSpec) -> tuple[Price | None, str]:
    """The price in genai-prices, for ids that the catalogue lacks."""
    from genai_prices import Usage, calc_price

    def per_million(**tokens: int) -> float:
        found = calc_price(Usage(**tokens), spec.model_id, provider_id=spec.provider)
        return float(found.total_price) * 1000

    try:
        fresh = per_million(input_tokens=1000)
        cached = per_million(input_tokens=1000, cache_read_tokens=1000)
        source = f"genai-prices {version('genai-prices')}"
        return Price(fresh, cached, per_million(output_tokens=1000)), source
    except (LookupError, ValueError):
        return None, "unknown"


def max_tokens_of(spec: ModelSpec | None, settings: Mapping[str, Any]) -> int:
    """The default limit on the tokens of an answer, of a hosted model or one in this process."""
    if settings["base_url"] is None and (spec is None or spec.provider == "local"):
        return 512
    (default,) = (field.default for field in fields(HostedSettings) if field.name == "max_tokens")
    return int(str(default))
