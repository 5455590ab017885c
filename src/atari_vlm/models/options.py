"""How any model answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from atari_vlm.errors import InvalidSetting, setting
from atari_vlm.options import option


@dataclass(frozen=True, kw_only=True)
class AnswerOptions:
    """How answers are sampled; None leaves it to the model."""

    temperature: float | None = option(None, "Sampling temperature; default: the model's own.")
    max_tokens: int | None = option(None, "Longest answer, in tokens; default: the model's own.")
    decide: Literal["words", "score"] = option(
        "words", "words, or score: rate every answer in one pass (embedded, local models)."
    )

    def __post_init__(self) -> None:
        if self.decide not in ("words", "score"):
            raise InvalidSetting(f"{setting('decide')} is words or score, not {self.decide!r}.")
