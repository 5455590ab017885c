"""The rule that counts a model's pictures in tokens, known before any call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from atari_vlm.costs.picture_tokens import FAMILIES, MOST, at_detail, family_of
from atari_vlm.errors import UnknownName
from atari_vlm.models.catalogue import MODELS, ModelSpec, get_model_spec
from atari_vlm.models.hosted.model import HostedModel
from atari_vlm.protocols import Model

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


def tokens_of_picture(
    model: Model, name: str, settings: Mapping[str, Any], size: tuple[int, int] | None
) -> int:
    """Tokens of one screen, as an estimate counts them.

    Args:
        model: that is shown it.
        name: of the model.
        settings: "base_url" and "detail" as in the record of a run.
        size: (width, height) that it is scaled to; None for its own, which is 160 x 210.
    """
    if isinstance(model, HostedModel):
        own = model.settings
        spec = None if own.provider == "openai-compatible" else f"{own.provider}:{own.model_id}"
    else:
        spec = None if settings.get("base_url") else name
    try:
        found = None if spec is None else MODELS.get(name.lower()) or get_model_spec(spec)
    except UnknownName:
        found = None
    rule, _, _ = rule_of(found, {**settings, "model": name})
    return FAMILIES[rule](*(size or (160, 210)))
