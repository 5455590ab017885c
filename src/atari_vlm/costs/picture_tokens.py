"""Tokens of an image, or a frame of a video, by each vendor's rule, as of November 2026."""

from __future__ import annotations

import re
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


def openai_uncapped(width: int, height: int) -> int:
    """The same at detail "auto", where GPT-6 showed no limit. Source: as `openai`."""
    return ceil(_patches(width, height, 32) * 1.2)


def _small(factor: float) -> Rule:
    """Of a small OpenAI model: a factor per patch of 32 pixels, of at most 1,536."""

    def rule(width: int, height: int) -> int:
        return ceil(min(_patches(width, height, 32), 1536) * factor)

    return rule


def gpt_4o_mini(width: int, height: int) -> int:
    """GPT-4o mini: 2,833, and 5,667 per tile, so that a picture costs what it does on GPT-4o.

    Source: OpenAI's vision guide; measured on community.openai.com as about 8,500 for a small one.
    """
    return 2833 + 5667 * _tiles(width, height)


def gpt_4o_mini_low(width: int, height: int) -> int:
    """GPT-4o mini at detail "low": 2,833 at any size. Source: as `gpt_4o_mini`."""
    return 2833


def o_series(width: int, height: int) -> int:
    """o1 and o3: 75, and 150 per tile. Source: OpenAI's vision guide."""
    return 75 + 150 * _tiles(width, height)


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


def anthropic_large(width: int, height: int) -> int:
    """The most that any Claude counts: up to 4,784, or one per 750 pixels. Source: as `anthropic`.

    The first is from Opus 4.7 on, the second what earlier guides said.
    """
    return min(max(_patches(width, height, 28), ceil(width * height / 750)), 4784)


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


_KNOWN: dict[str, Rule] = {
    "openai": openai,
    "openai-uncapped": openai_uncapped,
    "gpt-4o-mini": gpt_4o_mini,
    "gpt-4o-mini-low": gpt_4o_mini_low,
    "gpt-4.1-mini": _small(1.62),
    "gpt-4.1-nano": _small(2.46),
    "gpt-5-mini": _small(1.2),
    "gpt-5-nano": _small(1.5),
    "o4-mini": _small(1.72),
    "o-series": o_series,
    "gpt-4o": gpt_4o,
    "gpt-4o-low": gpt_4o_low,
    "gpt-5": gpt_5,
    "anthropic": anthropic,
    "anthropic-large": anthropic_large,
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


def most_tokens(width: int, height: int) -> int:
    """The largest number of any rule, for models whose rule is not known."""
    return max(rule(width, height) for rule in _KNOWN.values())


MOST = "most"
"""The family of models whose rule is not known."""

FAMILIES: dict[str, Rule] = {**_KNOWN, MOST: most_tokens}
"""Model family -> its rule."""

_OPENAI = (
    ("gpt-4o-mini", "gpt-4o-mini"),
    ("gpt-4.1-mini", "gpt-4.1-mini"),
    ("gpt-4.1-nano", "gpt-4.1-nano"),
    ("gpt-4o", "gpt-4o"),
    ("gpt-4.1", "gpt-4o"),
    ("gpt-5-mini", "gpt-5-mini"),
    ("gpt-5-nano", "gpt-5-nano"),
    ("gpt-5.1", "gpt-5"),
    ("gpt-5.", "openai"),
    ("gpt-5", "gpt-5"),
    ("gpt-6", "openai"),
    ("o4-mini", "o4-mini"),
    ("o1", "o-series"),
    ("o3", "o-series"),
)
"""(beginning of an id, family), the longer ones first."""

_AT_DETAIL = {
    ("gpt-4o", "low"): "gpt-4o-low",
    ("gpt-4o-mini", "low"): "gpt-4o-mini-low",
    ("gemini-low", "high"): "gemini",
}
"""(family, setting `detail`) -> the family at that detail, where it is another."""


def family_of(provider: str, model_id: str, detail: str = "auto") -> str:
    """The family in `FAMILIES` of a vendor's model; `MOST` if it is not known.

    >>> family_of("openai", "gpt-4o-mini"), family_of("openai", "gpt-99")
    ('gpt-4o-mini', 'most')

    Args:
        provider: "openai", "anthropic", "google" or any other.
        model_id: the vendor's id of the model.
        detail: the setting `detail`. Gemini 3 and 4 use low resolution unless it is "high".
    """
    family = MOST
    if provider == "anthropic":
        family = "anthropic"
    elif provider == "google" and model_id.startswith("gemini"):
        family = "gemini-2" if model_id.startswith(("gemini-1", "gemini-2")) else "gemini-low"
    elif provider == "openai":
        named = (family for start, family in _OPENAI if model_id.startswith(start))
        family = next(named, MOST)
        if family in ("openai", "gpt-5", "o-series") and re.search("mini|nano", model_id):
            family = MOST  # small models have factors of their own
    return at_detail(family, detail)


def at_detail(family: str, detail: str) -> str:
    """The family at a value of the setting `detail`."""
    return _AT_DETAIL.get((family, detail), family)


def rule_for(provider: str, model_id: str, detail: str = "auto") -> Rule:
    """The most that a vendor's model can count for an image.

    >>> rule_for("openai", "gpt-4o")(160, 210), rule_for("google", "gemini-4-hydrogen")(160, 210)
    (255, 280)

    Args:
        provider: as for `family_of`.
        model_id: likewise.
        detail: likewise.
    """
    family = family_of(provider, model_id, detail)
    largest = {"openai": "openai-uncapped", "anthropic": "anthropic-large"}
    return FAMILIES[largest.get(family, family)]


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
