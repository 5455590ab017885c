"""A loaded checkpoint that takes conversations: the arithmetic of local models.

Nothing here but torch and transformers; it knows nothing of games, threads or the hub. One caller
at a time: see `local`. Several conversations are one batch, each answered as it would be alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np

from atari_vlm.errors import ModelUnusable
from atari_vlm.models.embedded.answers import Chooser
from atari_vlm.models.local.families import Conversation
from atari_vlm.models.local.scoring import Candidates, score_candidates
from atari_vlm.models.local.video_processor import FrameVideoProcessor
from atari_vlm.models.local.vision_feature_cache import VisionFeatureCache

LogitsProcessor: TypeAlias = Callable[[Sequence[int], Any], Any]
"""(tokens said so far, scores of the next) -> the scores to take the largest of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class GenerationRequest:
    """One answer to write."""

    conversation: Conversation
    """From `families.build_conversation`."""
    longest: int
    """Most tokens of the answer."""
    bends: tuple[LogitsProcessor, ...] = ()
    """What decides each token, one after the other; without any, the likeliest is taken."""
    stopped: Callable[[], bool] = field(default=lambda: False)
    """Asked after every token; True ends the answer early."""


@dataclass(frozen=True, slots=True)
class Generation:
    """An answer, and what it cost."""

    text: str
    read: int
    """Tokens of the prompt, those of the pictures included."""
    written: int
    """Tokens of the answer, its end included."""
    finish: str
    """"stop", or "length" where the answer was cut off."""


class TransformersBackend:
    """A model and its processor.

    Args:
        model: an AutoModelForImageTextToText in evaluation mode.
        processor: its AutoProcessor.
        name: for the sentences of errors.
        once: compute the vision features of a picture once, however many prompts show it.
    """

    def __init__(self, model: Any, processor: Any, name: str, *, once: bool = False) -> None:
        from transformers import GenerationConfig

        self.model, self.processor, self.tokenizer = model, processor, processor.tokenizer
        self.name = name
        self.tokenizer.padding_side = "left"
        known = model.generation_config
        ends = known.eos_token_id if known is not None else None
        if ends is None:
            ends = self.tokenizer.eos_token_id
        self.ends: list[int] = [ends] if isinstance(ends, int) else list(ends or [])
        """Tokens that end an answer."""
        pad = self.tokenizer.pad_token_id
        self.pad = int(pad if pad is not None else self.ends[0] if self.ends else 0)
        if pad is None:
            self.tokenizer.pad_token_id = self.pad
        # A hub checkpoint may ask for sampling and penalties of its own, which no run would record.
        model.generation_config = GenerationConfig(
            eos_token_id=self.ends,
            pad_token_id=self.pad,
            bos_token_id=self.tokenizer.bos_token_id,
        )
        text = model.config.get_text_config()
        self.context: int | None = getattr(text, "max_position_embeddings", None)
        """Most tokens it can read and write; None where it does not say."""
        self._control = [
            token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special
        ]
        self.system = self._takes_system()
        """Whether its chat template has a place for the system's words."""
        self.vision_cache = VisionFeatureCache(model, processor) if once else None
        """What remembers pictures; None where every prompt looks at all of its own."""

    def _takes_system(self) -> bool:
        if not self.processor.chat_template:
            raise ModelUnusable(
                f"{self.name} has no chat template, so it was not made to follow instructions. "
                "Choose its -Instruct or -chat version."
            )
        turn = [{"type": "text", "text": "PROBE"}]
        talk = [{"role": "system", "content": turn}, {"role": "user", "content": turn}]
        try:
            words = self.processor.apply_chat_template(talk, tokenize=False)
        except Exception:  # templates raise what they like
            return False
        return words.count("PROBE") == 2 and "'text'" not in words

    def plain(self, text: str) -> str:
        """The text with a space inside what the tokenizer would take for a control token."""
        return escape_control_tokens(text, self._control)

    def score_candidates(
        self, conversations: Sequence[Conversation], answers: Candidates
    ) -> list[list[float]]:
        """Log-probability of each answer to each conversation; see `rating.score_candidates`."""
        return score_candidates(self, conversations, answers)

    def generate(self, wishes: Sequence[GenerationRequest]) -> list[Generation]:
        """Answer conversations in one batch.

        Raises:
            ModelUnusable: one of them is longer than the model can read.
        """
        import torch

        inputs = self.encode([wish.conversation for wish in wishes])
        start = int(inputs["input_ids"].shape[1])
        reads = [int(count) for count in inputs["attention_mask"].sum(-1)]
        rows = [
            Row(wish, self._room(wish.longest, read), self.ends)
            for wish, read in zip(wishes, reads, strict=True)
        ]

        def bend(ids: Any, scores: Any) -> Any:
            bent = scores.clone().float()
            for place, row in enumerate(rows):
                said = ids[place, start:].tolist()
                if not row.done(said):
                    for step in row.wish.bends:
                        bent[place] = step(said, bent[place])
            return bent

        def done(ids: Any, *_: Any, **__: Any) -> Any:
            return torch.tensor(
                [row.done(ids[place, start:].tolist()) for place, row in enumerate(rows)],
                device=ids.device,
            )

        with torch.inference_mode():
            tokens = self.model.generate(
                **inputs,
                max_new_tokens=max(row.room for row in rows),
                do_sample=False,
                logits_processor=[bend] if any(wish.bends for wish in wishes) else [],
                stopping_criteria=[done],
            )
        return [
            self._written(row, read, tokens[place, start:].tolist())
            for place, (row, read) in enumerate(zip(rows, reads, strict=True))
        ]

    def _room(self, longest: int, read: int) -> int:
        return longest if self.context is None else min(longest, self.context - read)

    def _written(self, row: Row, read: int, said: list[int]) -> Generation:
        said = row.own(said)
        ended = bool(said) and said[-1] in self.ends
        text = self.tokenizer.decode(said, skip_special_tokens=True)
        return Generation(text, read, len(said), "stop" if ended else "length")

    def encode(self, conversations: Sequence[Conversation]) -> dict[str, Any]:
        """Conversations as the inputs of the model, on its device, padded on the left.

        Raises:
            ModelUnusable: one is longer than the model can read.
        """
        import torch

        for half in (self.vision_cache, getattr(self.processor, "video_processor", None)):
            if isinstance(half, VisionFeatureCache | FrameVideoProcessor):
                half.expect(conversations)
        batch = self.processor.apply_chat_template(
            list(conversations),
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True} if len(conversations) > 1 else None,
        )
        read = int(batch["attention_mask"].sum(-1).max())
        if self.context is not None and read >= self.context:
            raise ModelUnusable(
                f"The prompt has {read:,} tokens and {self.name} reads at most {self.context:,}. "
                "Send fewer or smaller frames, or a shorter history."
            )
        inputs = dict(batch.to(self.model.device, dtype=self.model.dtype))
        inner: Any = getattr(self.model, "model", None)
        if getattr(inner, "rope_deltas", None) is not None:
            inner.rope_deltas = None  # those of the last prompt, which may have had pictures
        if self.vision_cache is not None:
            with torch.inference_mode():
                inputs = self.vision_cache.seen(inputs)
        return inputs


@dataclass(frozen=True, slots=True)
class Row:
    """One answer of a batch on its way."""

    wish: GenerationRequest
    room: int
    """Most tokens it can have."""
    ends: Sequence[int]

    def own(self, said: list[int]) -> list[int]:
        """The tokens up to its own end; behind them is padding."""
        for place, token in enumerate(said[: self.room]):
            if token in self.ends:
                return said[: place + 1]
        return said[: self.room]

    def done(self, said: list[int]) -> bool:
        """Whether it has ended."""
        ended = bool(said) and self.own(said)[-1] in self.ends
        return ended or len(said) >= self.room or self.wish.stopped()


def escape_control_tokens(text: str, control: Sequence[str]) -> str:
    """The text with a space inside each control token."""
    for token in control:
        if len(token) > 1 and token in text:
            text = text.replace(token, f"{token[0]} {token[1:]}")
    return text


def chosen(choose: Chooser) -> LogitsProcessor:
    """Leaves only the token that `choose` picks."""

    def bend(said: Sequence[int], scores: Any) -> Any:
        token = choose(said, scores.float().cpu().numpy().astype(np.float32))
        only = scores.new_full(scores.shape, float("-inf"))
        only[token] = 0.0
        return only

    return bend


def sampled(temperature: float, seed: int) -> LogitsProcessor:
    """Makes the largest score a draw from the softmax.

    Adding Gumbel noise is sampling; the noise comes from a generator of its own, so neither another
    thread's draws nor the other answers of a batch change this one.

    Args:
        temperature: above 0.
        seed: equal seeds give equal answers.
    """
    import torch

    dice = torch.Generator().manual_seed(seed % 2**63)

    def bend(said: Sequence[int], scores: Any) -> Any:
        noise = torch.empty(scores.shape).exponential_(generator=dice).log()
        return scores.float() / temperature - noise.to(scores.device)

    return bend
