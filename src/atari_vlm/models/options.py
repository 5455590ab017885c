"""How any model is shown the screens, and how it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.options import check_numbers, option


@dataclass(frozen=True, kw_only=True)
class AnswerOptions:
    """How screens are shown and answers are sampled; None leaves it to the model."""

    temperature: float | None = option(None, "Sampling temperature; default: the model's own.")
    max_tokens: int | None = option(
        None, "Longest answer, in tokens; default: the model's own.", least=1, most=10**7
    )
    decide: Literal["words", "score"] = option(
        "words", "words, or score: rate every answer in one pass (embedded, local models)."
    )

    video: bool | None = option(
        None,
        "Several screens as one video, or as pictures (Gemini, local models).",
        flag="--video/--pictures",
    )

    def __post_init__(self) -> None:
        check_numbers(self)
        if self.decide not in ("words", "score"):
            raise InvalidSetting(f"{setting('decide')} is words or score, not {self.decide!r}.")


def refuse_video(who: str, video: bool | None) -> None:
    """Raise InvalidSetting if a model that is shown pictures one way was asked for another."""
    if video is not None:
        raise InvalidSetting(
            f"{who} takes no {setting('video', str(video))}: it is for Google's Gemini models and "
            "for models in this process, a folder or local:ORG/NAME."
        )
