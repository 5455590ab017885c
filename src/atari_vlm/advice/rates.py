"""Rule for pictures, price and longest answer of a model, known before any call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from importlib.metadata import version
from typing import Any

from atari_vlm.costs.picture_tokens import FAMILIES, video_family
from atari_vlm.costs.prices import Price, listed_price
from atari_vlm.errors import UnknownName
from atari_vlm.models.catalogue import MODELS, ModelSpec, get_model_spec
from atari_vlm.models.hosted.dialects import GENERIC, get_dialect
from atari_vlm.models.hosted.settings import HostedSettings

_ASSUMED = (
    ("gpt-4o", "gpt-4o"),
    ("gpt-4.1", "gpt-4o"),
    ("gpt-5.", "openai"),
    ("gpt-5", "gpt-5"),
    ("gemini-1", "gemini-2"),
    ("gemini-2", "gemini-2"),
    ("gemini", "gemini-low"),
    ("claude", "anthropic"),
    ("gpt", "openai"),
    ("", "qwen2-vl"),
)
"""(prefix of a model id, rule for its pictures): assumed for models that the catalogue lacks."""


_AT_DETAIL = {("gemini-low", "high"): "gemini", ("gpt-4o", "low"): "gpt-4o-low"}
"""(rule, setting `detail`) -> the rule at that detail, where it is another."""


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


def rule_of(spec: ModelSpec | None, settings: Mapping[str, Any]) -> tuple[str, str]:
    """The rule that counts the model's pictures, and a sentence about it for the assumptions."""
    if spec is not None and spec.images:
        rule = _AT_DETAIL.get((spec.images, settings.get("detail", "")), spec.images)
        return rule, f"Pictures are counted by the rule {rule!r}."
    name = (spec.model_id if spec else str(settings["model"])).lower()
    rule = next(rule for prefix, rule in _ASSUMED if name.startswith(prefix))
    rule = _AT_DETAIL.get((rule, settings.get("detail", "")), rule)
    return rule, (
        f"Pictures are counted by the rule {rule!r}, which is assumed: no rule is known for "
        f"{settings['model']}."
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
