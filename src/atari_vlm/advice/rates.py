"""Rule for videos, price and longest answer of a model, known before any call."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from importlib.metadata import version
from typing import Any

from atari_vlm.costs.picture_tokens import FAMILIES, video_family
from atari_vlm.costs.prices import Price, listed_price
from atari_vlm.models.catalogue import ModelSpec
from atari_vlm.models.hosted.dialects import GENERIC, get_dialect
from atari_vlm.models.hosted.settings import HostedSettings


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
