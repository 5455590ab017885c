"""Conversion between our types and pydantic-ai's: Prompt -> messages, response -> Reply.

Pydantic-ai converts the messages to each vendor's JSON; nothing here depends on the vendor.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import groupby
from typing import TYPE_CHECKING, Any, TypeAlias

from atari_vlm.atari import images
from atari_vlm.errors import InvalidSetting
from atari_vlm.files.untrusted import storable
from atari_vlm.models.hosted.video import Clip, arranged, video_file
from atari_vlm.types import Frame, Prompt, Reply

if TYPE_CHECKING:
    from pydantic_ai.messages import ModelMessage, ModelResponse, UserContent
    from pydantic_ai.models import ModelRequestParameters

ImageMetadata: TypeAlias = dict[str, Any] | None
"""A vendor's options for an image, sent with each one."""

VideoMetadata: TypeAlias = Callable[[float], dict[str, Any]]
"""Screens a second -> a vendor's options for a video."""

Part: TypeAlias = str | Frame | Clip


def answer_schema(
    legal: tuple[str, ...], longest: int, plans: bool, chunk_size: int = 1
) -> dict[str, Any]:
    """The JSON schema of an answer.

    `reasoning` precedes `action`, so that a model that generates in order reasons before it
    chooses. `action` must be a legal name. With a `chunk_size` above 1, `actions` lists one object
    per decision.

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
    if chunk_size > 1:
        items = {"type": "array", "items": _object(plan), "maxItems": chunk_size}
        plan = {"actions": {**items, "description": f"{chunk_size} plans, in the order of play."}}
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
def request_parameters(
    legal: tuple[str, ...] = (), longest: int = 1, plans: bool = False, chunk_size: int = 1
) -> ModelRequestParameters:
    """Request parameters that enforce `answer_schema`; free text if `legal` is empty."""
    from pydantic_ai.models import ModelRequestParameters
    from pydantic_ai.output import OutputObjectDefinition

    if not legal:
        return ModelRequestParameters()
    schema = answer_schema(legal, longest, plans, chunk_size)
    output = OutputObjectDefinition(json_schema=schema, name="decision", strict=True)
    return ModelRequestParameters(output_mode="native", output_object=output)


def to_messages(
    prompt: Prompt,
    image_metadata: ImageMetadata = None,
    video_metadata: VideoMetadata | None = None,
) -> list[ModelMessage]:
    """Convert a prompt to messages.

    Consecutive messages of one role are merged, because strict chat templates require alternation.

    Args:
        prompt: text and frames in reading order.
        image_metadata: the vendor's options for every image.
        video_metadata: if given, the newest screens are one video (`video.arranged`).

    Raises:
        InvalidSetting: a system or assistant turn contains a frame.
        ModelUnusable: the video is too large for a request.
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
    request: list[ModelRequestPart] = []
    for role, parts in _turns(prompt, video=video_metadata is not None):
        if role == "user":
            content = [
                _content(part, prompt.image_size, image_metadata, video_metadata) for part in parts
            ]
            request.append(UserPromptPart(content=content))
        elif role == "system":
            request.append(SystemPromptPart(content=_text(role, parts)))
        else:
            messages.append(ModelRequest(parts=request))
            messages.append(ModelResponse(parts=[TextPart(content=_text(role, parts))]))
            request = []
    messages.append(ModelRequest(parts=request))
    return [message for message in messages if message.parts]


def _turns(prompt: Prompt, *, video: bool) -> Iterator[tuple[str, list[Part]]]:
    """(role, parts) of every turn that is not empty."""
    turns = arranged(prompt) if video else ((m.role, m.parts) for m in prompt.messages)
    pairs = ((role, part) for role, parts in turns for part in parts if part != "")
    for role, group in groupby(pairs, key=lambda pair: pair[0]):
        yield role, [part for _, part in group]


def _content(
    part: Part,
    size: tuple[int, int] | None,
    image_metadata: ImageMetadata,
    video_metadata: VideoMetadata | None,
) -> UserContent:
    from pydantic_ai.messages import BinaryContent

    if isinstance(part, str):
        return storable(part)
    if isinstance(part, Frame):
        picture = images.png(part, size)
        return BinaryContent(picture, media_type="image/png", vendor_metadata=image_metadata)
    assert video_metadata is not None
    metadata = video_metadata(float(part.rate))
    return BinaryContent(video_file(part), media_type="video/mp4", vendor_metadata=metadata)


def _text(role: str, parts: list[Part]) -> str:
    texts = [part for part in parts if isinstance(part, str)]
    if len(texts) < len(parts):
        raise InvalidSetting(f"Only a user's turn can show frames; this {role} turn has one.")
    return storable("\n\n".join(texts))


def to_reply(response: ModelResponse) -> Reply:
    """Convert a response to a Reply, without its usage (see `usage`).

    Args:
        response: for a refusal, the reply's text is the vendor's refusal message.
    """
    from pydantic_ai.messages import TextPart, ThinkingPart

    details = response.provider_details or {}
    text = "".join(part.content for part in response.parts if isinstance(part, TextPart))
    thinking = [part.content for part in response.parts if isinstance(part, ThinkingPart)]
    return Reply(
        text=text or str(details.get("refusal") or ""),
        thinking="\n".join(thinking),
        model=response.model_name or "",
        finish=response.finish_reason or "stop",
        request_id=response.provider_response_id or "",
    )
