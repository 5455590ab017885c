"""The interface of a loaded model, and what its implementations share.

`TransformersBackend` runs every family that transformers knows, `CogVLM2Backend` the one model that
brings code of its own. A backend takes one call at a time.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from functools import cached_property
from typing import Any

from atari_vlm.errors import ModelUnusable
from atari_vlm.models.local.conversation import Conversation
from atari_vlm.models.local.generation import Generation, GenerationRequest, StoppingCriterion
from atari_vlm.models.local.json_constraint import JSONVocabulary
from atari_vlm.models.local.scoring import Candidates


class LocalBackend(ABC):
    """A loaded model that generates and scores answers to conversations.

    Args:
        model: in evaluation mode.
        tokenizer: its tokenizer.
        name: for error messages.
    """

    supports_system: bool = False
    """Whether its chat template has a system role."""
    context_length: int | None = None
    """Most tokens of prompt and answer together; None if unknown."""
    control_tokens: Sequence[str] = ()
    """Tokens with a special meaning, which text from outside must not contain."""

    def __init__(self, model: Any, tokenizer: Any, name: str) -> None:
        self.model, self.tokenizer, self.name = model, tokenizer, name
        config = getattr(model, "generation_config", None)
        eos = config.eos_token_id if config is not None else None
        if eos is None:
            eos = tokenizer.eos_token_id
        self.eos_token_ids: list[int] = [eos] if isinstance(eos, int) else list(eos or [])
        """Tokens that end an answer."""

    def close(self) -> None:
        """Release what is not memory."""
        return

    @abstractmethod
    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """Generate an answer to each request.

        Raises:
            ModelUnusable: a prompt is longer than the context.
        """

    @abstractmethod
    def score_candidates(
        self, conversations: Sequence[Conversation], candidates: Candidates
    ) -> list[list[float]]:
        """Log-probability of each candidate as the answer to each conversation.

        They are exact up to a constant, which the candidates of a conversation share.

        Raises:
            ModelUnusable: a prompt is longer than the context.
        """

    @cached_property
    def json_vocabulary(self) -> JSONVocabulary:
        """The tokenizer's vocabulary, for answers in JSON."""
        return JSONVocabulary(self.tokenizer, self.eos_token_ids)

    def escape(self, text: str) -> str:
        """The text with a space inside everything the tokenizer would read as a control token."""
        for token in self.control_tokens:
            if len(token) > 1 and token in text:
                text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    def check_length(self, tokens: int, advice: str) -> None:
        """Raise ModelUnusable if a prompt leaves no room for an answer.

        Args:
            tokens: of the prompt.
            advice: how to make it shorter.
        """
        if self.context_length is not None and tokens >= self.context_length:
            raise ModelUnusable(
                f"The prompt has {tokens:,} tokens and {self.name} reads at most "
                f"{self.context_length:,}. {advice}"
            )

    def stopping_criterion(self, request: GenerationRequest, tokens: int) -> StoppingCriterion:
        """When an answer ends.

        Args:
            request: the request for it.
            tokens: of the prompt.
        """
        room = request.max_new_tokens
        if self.context_length is not None:
            room = min(room, self.context_length - tokens)
        return StoppingCriterion(request, room, self.eos_token_ids)

    def decode(self, token_ids: Sequence[int], input_tokens: int) -> Generation:
        """Turn the tokens of an answer into text.

        Args:
            token_ids: with the EOS token, if the answer has one.
            input_tokens: of the prompt.
        """
        ended = bool(token_ids) and token_ids[-1] in self.eos_token_ids
        text = self.tokenizer.decode(token_ids, skip_special_tokens=True)
        return Generation(text, input_tokens, len(token_ids), "stop" if ended else "length")
