"""What a model is asked to generate, and what it generated."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from atari_vlm.models.local.conversation import Conversation
from atari_vlm.models.local.logits_processors import LogitsProcessor


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One answer to generate."""

    conversation: Conversation
    max_new_tokens: int
    logits_processors: tuple[LogitsProcessor, ...] = ()
    """Applied in order before the largest logit is taken; without any, decoding is greedy."""
    is_cancelled: Callable[[], bool] = field(default=lambda: False)
    """Called after every token; True ends the answer early."""


@dataclass(frozen=True, slots=True)
class Generation:
    """A generated answer and its token counts."""

    text: str
    input_tokens: int
    """Tokens of the prompt, including those of images."""
    output_tokens: int
    """Tokens of the answer, including the end-of-sequence token."""
    finish: str
    """"stop", or "length" if the answer was cut off."""


@dataclass(frozen=True, slots=True)
class StoppingCriterion:
    """Decides where one answer of a batch ends."""

    request: GenerationRequest
    max_new_tokens: int
    """The request's, or fewer if the context is nearly full."""
    eos_token_ids: Sequence[int]

    def truncate(self, token_ids: list[int]) -> list[int]:
        """The tokens up to and including the end-of-sequence token; what follows is padding."""
        for place, token in enumerate(token_ids[: self.max_new_tokens]):
            if token in self.eos_token_ids:
                return token_ids[: place + 1]
        return token_ids[: self.max_new_tokens]

    def is_done(self, token_ids: list[int]) -> bool:
        """Whether the answer has ended."""
        ended = bool(token_ids) and self.truncate(token_ids)[-1] in self.eos_token_ids
        return ended or len(token_ids) >= self.max_new_tokens or self.request.is_cancelled()
