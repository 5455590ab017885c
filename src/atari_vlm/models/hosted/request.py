"""One request to a hosted model, in pydantic-ai's terms."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from atari_vlm.models.hosted.dialects import constraint_fields, get_dialect
from atari_vlm.models.hosted.message_conversion import request_parameters, to_messages
from atari_vlm.models.hosted.settings import HostedSettings
from atari_vlm.models.hosted.vendors import Vendor
from atari_vlm.types import Prompt

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.settings import ModelSettings


@dataclass(frozen=True, slots=True)
class Request:
    """The arguments of `pydantic_ai.direct.model_request`."""

    messages: list[ModelMessage]
    parameters: ModelRequestParameters
    """The form of the answer."""
    settings: ModelSettings


def build_request(
    settings: HostedSettings, vendor: Vendor, prompt: Prompt, *, seed: int
) -> Request:
    """Convert a prompt to a request.

    Args:
        settings: of the model.
        vendor: `settings.vendor`.
        prompt: without `legal` actions, the request asks for free text.
        seed: for sampling; only OpenAI-compatible servers take one.

    Raises:
        InvalidSetting: a system or assistant turn contains a frame.
        ModelUnusable: the video is too large for a request.
    """
    model_id, detail = settings.model_id, settings.detail
    shown_as_video = partial(vendor.video_metadata, model_id, detail) if settings.video else None
    messages = to_messages(prompt, vendor.image_metadata(model_id, detail), shown_as_video)
    if settings.provider == "openai-compatible":
        # The dialect's fields ask for the form of the answer.
        return Request(messages, request_parameters(), _compatible(settings, prompt, seed))
    constrained = settings.structured and prompt.json
    parameters = request_parameters(
        prompt.legal if constrained else (), prompt.longest, prompt.plans, prompt.chunk_size
    )
    options = _common(settings)
    if settings.effort is not None:
        options |= vendor.effort_settings(settings.effort)
    # Frames change with every decision, so caching the messages would cost and save nothing.
    options["cache"] = {"messages": False}
    return Request(messages, parameters, cast("ModelSettings", options))


def _compatible(settings: HostedSettings, prompt: Prompt, seed: int) -> ModelSettings:
    """Request settings for an OpenAI-compatible server, by its dialect."""
    dialect = get_dialect(settings.dialect)
    options, body = _common(settings), dict(dialect.extra_body)
    if dialect.seed:
        options["seed"] = seed % 2**31
    if settings.effort is not None and dialect.effort_fields is not None:
        body |= dialect.effort_fields(settings.effort)
    if settings.structured:
        body |= constraint_fields(
            settings.dialect,
            prompt.legal,
            prompt.longest,
            prompt.plans,
            prompt.json,
            prompt.chunk_size,
        )
    if body:
        options["extra_body"] = body
    return cast("ModelSettings", options)


def _common(settings: HostedSettings) -> dict[str, Any]:
    options: dict[str, Any] = {"max_tokens": settings.max_tokens}
    if settings.temperature is not None:
        options["temperature"] = settings.temperature
    return options


def sent_fields(settings: HostedSettings) -> dict[str, tuple[str, ...]]:
    """The settings that the user chose and that every request must have.

    Returns:
        The name of each -> the fields of a request's body that can hold it, by API.
    """
    fields: dict[str, tuple[str, ...]] = {"max_tokens": _MAX_TOKENS}
    if settings.temperature is not None:
        fields["temperature"] = ("temperature",)
    if settings.effort is not None:
        fields["effort"] = _EFFORT
    return fields


_MAX_TOKENS = ("max_tokens", "max_completion_tokens", "max_output_tokens", "maxOutputTokens")
_EFFORT = ("effort", "reasoning_effort", "thinkingLevel", "thinking_level", "thinkingBudget")
