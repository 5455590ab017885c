"""Our nouns to and from the ones all vendors share: Prompt -> messages, response -> Reply.

Pydantic-ai turns these messages into each vendor's JSON; nothing here knows a vendor.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias

from atari_vlm.atari import images
from atari_vlm.costs.prices import Price
from atari_vlm.errors import InvalidSetting
from atari_vlm.types import Frame, Prompt, Reply, Usage

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, ModelResponse, UserContent
    from pydantic_ai.models import ModelRequestParameters

Picture: TypeAlias = dict[str, Any] | None
"""What a vendor wants to be told beside every picture."""


def answer_schema(
    legal: tuple[str, ...], longest: int, plans: bool, ahead: int = 1
) -> dict[str, Any]:
    """The JSON schema of an answer.

    `reasoning` stands before `action`, so that a model that writes in order thinks before it
    chooses; `action` can only be a legal name. Where several decisions are planned at once,
    `actions` lists one object for each.

    >>> list(answer_schema(("NOOP", "FIRE"), 4, True)["properties"])
    ['reasoning', 'action', 'frames']
    """
    plan: dict[str, Any] = {"action": {"type": "string", "enum": list(legal)}}
    if plans:
        plan["frames"] = {
            "type": "integer",
            "minimum": 1,
            "maximum": longest,
            "description": f"Frames to hold the action, 1 to {longest}.",
        }
    if ahead > 1:
        several = {"type": "array", "items": _object(plan), "maxItems": ahead}
        plan = {"actions": {**several, "description": f"{ahead} plans, in the order of play."}}
    reasoning = {"type": "string", "description": "At most two sentences."}
    return _object({"reasoning": reasoning, **plan})


def _object(properties: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


@lru_cache(maxsize=256)
def answer_format(
    legal: tuple[str, ...], longest: int, plans: bool, ahead: int = 1
) -> ModelRequestParameters:
    """The request for an answer of that schema; free text where `legal` is empty."""
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.output import OutputObjectDefinition

    if not legal:
        return ModelRequestParameters()
    schema = answer_schema(legal, longest, plans, ahead)
    output = OutputObjectDefinition(json_schema=schema, name="decision", strict=True)
    return ModelRequestParameters(output_mode="native", output_object=output)


def to_messages(prompt: Prompt, picture: Picture = None) -> list[ModelMessage]:
    """The prompt's turns; neighbours of one role become one turn, as strict chat templates want.

    Args:
        prompt: text and frames in reading order.
        picture: the vendor's wishes for every picture.

    Raises:
        InvalidSetting: a frame stands where no vendor takes one, outside the user's turns.
    """
    from pydantic_ai.messages import (
        ModelRequest,
        ModelRequestPart,
        ModelResponse,
        SystemPromptPart,
        TextPart,
        UserPromptPart,
    )

    messages: list[ModelMessage] = []
    asking: list[ModelRequestPart] = []
    for role, parts in _turns(prompt):
        if role == "user":
            content = [_content(part, prompt.image_size, picture) for part in parts]
            asking.append(UserPromptPart(content=content))
        elif role == "system":
            asking.append(SystemPromptPart(content=_text(role, parts)))
        else:
            messages.append(ModelRequest(parts=asking))
            messages.append(ModelResponse(parts=[TextPart(content=_text(role, parts))]))
            asking = []
    messages.append(ModelRequest(parts=asking))
    return [message for message in messages if message.parts]


def _turns(prompt: Prompt) -> Iterator[tuple[str, list[str | Frame]]]:
    """(role, parts) of every turn that says something."""
    said = ((m.role, part) for m in prompt.messages for part in m.parts if part != "")
    for role, group in groupby(said, key=lambda pair: pair[0]):
        yield role, [part for _, part in group]


def _content(part: str | Frame, size: tuple[int, int] | None, picture: Picture) -> UserContent:
    from pydantic_ai.messages import BinaryContent

    if isinstance(part, str):
        return part
    return BinaryContent(images.png(part, size), media_type="image/png", vendor_metadata=picture)


def _text(role: str, parts: list[str | Frame]) -> str:
    words = [part for part in parts if isinstance(part, str)]
    if len(words) < len(parts):
        raise InvalidSetting(f"Only a user's turn can show frames; this {role} turn has one.")
    return "\n\n".join(words)


def to_reply(response: ModelResponse, seconds: float, price: Price | None, listed: bool) -> Reply:
    """What the model answered and what it cost.

    Args:
        response: a refusal has no text of its own; its words are the vendor's refusal message.
        seconds: time spent waiting, retries included.
        price: the model's price, where it is known better than from the price list.
        listed: whether the price list (genai-prices, bundled with its version) may be asked.
    """
    from pydantic_ai.messages import TextPart, ThinkingPart

    details = response.provider_details or {}
    words = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    thoughts = [part.content for part in response.parts if isinstance(part, ThinkingPart)]
    used = response.usage
    return Reply(
        text=words or str(details.get("refusal") or ""),
        thinking="\n".join(thoughts),
        model=response.model_name or "",
        finish=response.finish_reason or "stop",
        request_id=response.provider_response_id or "",
        usage=Usage(
            calls=1,
            input_tokens=used.input_tokens,
            cached_tokens=used.cache_read_tokens,
            output_tokens=used.output_tokens,
            dollars=_dollars(response, price, listed),
            seconds=seconds,
            reasoning_tokens=used.output_reasoning_tokens,
        ),
    )


def _dollars(response: ModelResponse, price: Price | None, listed: bool) -> float | None:
    """What the answer cost; None when nobody knows."""
    used = response.usage
    if price == Price(0, 0, 0):
        return 0.0
    if used.input_tokens == 0:  # the server did not say what it read
        return None
    if price is not None:
        return price.cost(used.input_tokens, used.cache_read_tokens, used.output_tokens)
    if not listed or not response.model_name:
        return None
    try:
        return float(response.cost().total_price)
    except (LookupError, ValueError):
        return None
