"""Tokens of an image, or a frame of a video, by each vendor's rule, as of November 2026."""

from __future__ import annotations

from collections.abc import Callable
from math import ceil, sqrt

Rule = Callable[[int, int], int]
"""(width, height) of the image in pixels -> tokens."""


def _patches(width: int, height: int, side: int) -> int:
    return ceil(width / side) * ceil(height / side)


def openai(width: int, height: int) -> int:
    """GPT-5.2 to 6: 1.2 per patch of 32 pixels, at most 2,500 patches at detail "high".

    Source: community.openai.com topics 1377015 and 1372291; exact on the three sizes of the data
    set JOHNISKING/image-token-cost.
    """
    return ceil(min(_patches(width, height, 32), 2500) * 1.2)


def gpt_4o(width: int, height: int) -> int:
    """GPT-4o and 4.1 at detail "high": 85, and 170 per tile. Source: OpenAI's vision guide."""
    return 85 + 170 * _tiles(width, height)


def gpt_4o_low(width: int, height: int) -> int:
    """GPT-4o and 4.1 at detail "low": 85 at any size. Source: as `gpt_4o`."""
    return 85


def gpt_5(width: int, height: int) -> int:
    """GPT-5 and 5.1: 70, and 140 per tile. Source: docs.rs/vision-squeezer."""
    return 70 + 140 * _tiles(width, height)


def _tiles(width: int, height: int) -> int:
    """Tiles of 512 pixels after fitting into 2,048 x 2,048 and the short side to at most 768."""
    scale = min(1.0, 2048 / max(width, height))
    scale *= min(1.0, 768 / (min(width, height) * scale))
    return _patches(ceil(width * scale), ceil(height * scale), 512)


def anthropic(width: int, height: int) -> int:
    """Claude: one per patch of 28 pixels, at most 1,568 (from Opus 4.7: 4,784, not applied here).

    Source: platform.claude.com, build-with-claude/vision.
    """
    return min(_patches(width, height, 28), 1568)


def gemini_2(width: int, height: int) -> int:
    """Gemini up to 2.5: 258 for a small image, else 258 per tile of 768 pixels.

    Source: ai.google.dev/gemini-api/docs/tokens.
    """
    return 258 if max(width, height) <= 384 else 258 * _patches(width, height, 768)


def gemini(width: int, height: int) -> int:
    """Gemini 3 and 4: 1,120 at any size.

    Source: ai.google.dev/gemini-api/docs/media-resolution.
    """
    return 1120


def gemini_low(width: int, height: int) -> int:
    """Gemini 3 and 4 with media_resolution LOW: 280 at any size. Source: as `gemini`."""
    return 280


_TIME_STAMP = 7
"""Tokens of the time stamp before each frame of a video, for one frame a second.

Source: cloud.google.com/distributed-cloud/hosted/docs, gemini/capabilities/video. A bill of 20 s on
Gemini 2.5 had 263 tokens a frame, so 5 (github.com/googleapis/java-genai, issue 407).
"""


def gemini_2_video(width: int, height: int) -> int:
    """A frame of a video on Gemini up to 2.5: 258 at any size, and its time stamp.

    Source: ai.google.dev/gemini-api/docs/video-understanding.
    """
    return 258 + _TIME_STAMP


def gemini_video(width: int, height: int) -> int:
    """A frame of a video on Gemini 3 and 4: 70 at any size, and its time stamp.

    The same for media_resolution LOW, MEDIUM and none. Source: as `gemini`.
    """
    return 70 + _TIME_STAMP


def gemini_video_high(width: int, height: int) -> int:
    """The same with media_resolution HIGH: 280 and its time stamp. Source: as `gemini`."""
    return 280 + _TIME_STAMP


def qwen2_vl(width: int, height: int) -> int:
    """Qwen2-VL and 2.5-VL: one per 28 x 28 pixels, sides rounded. Source: their processors."""
    return max(4, round(width / 28) * round(height / 28))


def qwen3_vl(width: int, height: int) -> int:
    """Qwen3-VL: one per 32 x 32 pixels, at least 256 x 256 pixels. Source: its processor."""
    across, down = max(1, round(width / 32)), max(1, round(height / 32))
    if across * down >= 64:
        return across * down
    scale = sqrt(256 * 256 / (width * height))
    return ceil(width * scale / 32) * ceil(height * scale / 32)


def llava_next(width: int, height: int) -> int:
    """LLaVA-1.6: the image in 336 x 336 pixels, and again in the best of five grids of such tiles.

    Source: transformers, LlavaNextProcessor; 1,032 for a native screen.
    """
    rows, columns = max(_GRIDS, key=lambda grid: _fit(width, height, *grid))
    down, across = 24 * rows, 24 * columns
    if width / height > across / down:
        down -= 2 * ((down - int(height * across / width)) // 2)
    else:
        across -= 2 * ((across - int(width * down / height)) // 2)
    return 576 + down * across + down


_GRIDS = ((1, 2), (2, 1), (2, 2), (3, 1), (1, 3))
"""Tiles of 336 pixels, (rows, columns)."""


def _fit(width: int, height: int, rows: int, columns: int) -> tuple[int, int]:
    """Pixels of the image that a grid keeps, and minus the pixels of the grid that stay unused."""
    scale = min(336 * columns / width, 336 * rows / height)
    kept = min(int(width * scale) * int(height * scale), width * height)
    return kept, kept - 336 * columns * 336 * rows


def cogvlm2(width: int, height: int) -> int:
    """CogVLM2: 48 x 48 at any size, and two markers. Source: its visual.py."""
    return 48 * 48 + 2


def video_llava(width: int, height: int) -> int:
    """Video-LLaVA: 256 at any size. Source: transformers, VideoLlavaProcessor."""
    return 256


def idefics2(width: int, height: int) -> int:
    """Idefics2 without image splitting, as loaded here: 64 at any size (320 with splitting).

    Source: transformers, Idefics2Processor.
    """
    return 64


FAMILIES: dict[str, Rule] = {
    "openai": openai,
    "gpt-4o": gpt_4o,
    "gpt-4o-low": gpt_4o_low,
    "gpt-5": gpt_5,
    "anthropic": anthropic,
    "gemini": gemini,
    "gemini-low": gemini_low,
    "gemini-2": gemini_2,
    "gemini-video": gemini_video,
    "gemini-video-high": gemini_video_high,
    "gemini-2-video": gemini_2_video,
    "qwen2-vl": qwen2_vl,
    "qwen3-vl": qwen3_vl,
    "llava-next": llava_next,
    "cogvlm2": cogvlm2,
    "video-llava": video_llava,
    "idefics2": idefics2,
}
"""Model family -> its rule."""


def most_tokens(width: int, height: int) -> int:
    """The largest number of any family, for models whose rule is not known."""
    return max(rule(width, height) for rule in FAMILIES.values())


def rule_for(provider: str, model_id: str, detail: str = "auto") -> Rule:
    """The rule for a vendor's model; `most_tokens` if its rule is not known.

    >>> rule_for("openai", "gpt-4o")(160, 210), rule_for("google", "gemini-4-hydrogen")(160, 210)
    (255, 280)

    Args:
        provider: "openai", "anthropic", "google" or any other.
        model_id: the vendor's id of the model.
        detail: the setting `detail`. Gemini 3 and 4 use low resolution unless it is "high".
    """
    if provider == "anthropic":
        return anthropic
    if provider == "google":
        if model_id.startswith(("gemini-1", "gemini-2")):
            return gemini_2
        return gemini if detail == "high" else gemini_low
    if provider != "openai" or "mini" in model_id or "nano" in model_id:
        return most_tokens
    if model_id.startswith(("gpt-4o", "gpt-4.1")):
        return gpt_4o_low if detail == "low" else gpt_4o
    return gpt_5 if model_id in ("gpt-5", "gpt-5.1") else openai


def video_family(model_id: str, detail: str = "auto") -> str:
    """The rule in `FAMILIES` for the frames of a video on a Gemini model.

    >>> video_family("gemini-4-hydrogen"), video_family("gemini-2.5-pro")
    ('gemini-video', 'gemini-2-video')

    Args:
        model_id: Google's id of the model.
        detail: the setting `detail`; only "high" matters, and not up to Gemini 2.5.
    """
    if model_id.startswith(("gemini-1", "gemini-2")):
        return "gemini-2-video"
    return "gemini-video-high" if detail == "high" else "gemini-video"
