"""What is known of a model before it is asked: its picture rule, its price, its longest answer."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from datetime import date
from importlib.metadata import version
from typing import Any

from atari_vlm.costs.prices import Price
from atari_vlm.errors import UnknownName
from atari_vlm.models.catalogue import MODELS, ModelSpec, get_model_spec
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
"""Beginning of a model id -> the rule assumed for one that the catalogue lacks."""


def spec_of(name: str, base_url: str | None) -> ModelSpec | None:
    """What the catalogue says of a model; None where it knows nothing of it."""
    if base_url is not None:
        return MODELS.get(name.lower())
    try:
        return get_model_spec(name)
    except UnknownName:
        if name.startswith(("local:", "/", "./", "../", "~")):
            return None
        raise


def rule_of(spec: ModelSpec | None, settings: Mapping[str, Any]) -> tuple[str, str]:
    """The rule that counts its pictures, and a sentence where it is assumed."""
    if spec is not None and spec.images:
        return spec.images, f"Pictures are counted by the rule {spec.images!r}."
    name = (spec.model_id if spec else str(settings["model"])).lower()
    rule = next(rule for beginning, rule in _ASSUMED if name.startswith(beginning))
    return rule, (
        f"Pictures are counted by the rule {rule!r}, which is assumed: no rule is known for "
        f"{settings['model']}."
    )


def price_of(
    spec: ModelSpec | None, settings: Mapping[str, Any], day: date
) -> tuple[Price | None, str]:
    """Its price on a day, and where that is from; None where it is unknown."""
    if settings["base_url"] is not None:
        return None, "unknown: a server of your own"
    if spec is None or spec.provider in ("embedded", "local"):
        return None, "none: weights of your own"
    price, since = spec.price_on(day), spec.price_day(day)
    if price is not None:
        return price, f"of {since}"
    return _listed(spec)


def _listed(spec: ModelSpec) -> tuple[Price | None, str]:
    """The price of the public list, for ids that the catalogue lacks."""
    from genai_prices import Usage, calc_price

    def of(**tokens: int) -> float:
        found = calc_price(Usage(**tokens), spec.model_id, provider_id=spec.provider)
        return float(found.total_price) * 1000

    try:
        fresh = of(input_tokens=1000)
        cached = of(input_tokens=1000, cache_read_tokens=1000)
        source = f"genai-prices {version('genai-prices')}"
        return Price(fresh, cached, of(output_tokens=1000)), source
    except (LookupError, ValueError):
        return None, "unknown"


def longest_of(spec: ModelSpec | None, settings: Mapping[str, Any]) -> int:
    """Longest answer where none is set: of a hosted model, or of one in this process."""
    if settings["base_url"] is None and (spec is None or spec.provider == "local"):
        return 512
    (default,) = (field.default for field in fields(HostedSettings) if field.name == "max_tokens")
    return int(str(default))
