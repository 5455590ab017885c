"""A checkpoint in memory: a conversation in, words out. `rating` rates given answers.

This file is torch and transformers; it knows nothing of games, threads or the hub. One caller at a
time: see `local`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from atari_vlm.errors import ModelUnusable
from atari_vlm.models.answers import Chooser
from atari_vlm.models.families import Conversation


@dataclass(frozen=True, slots=True)
class Written:
    """An answer, and what it cost."""

    text: str
    read: int
    """Tokens of the prompt, those of the pictures included."""
    written: int
    """Tokens of the answer, its end included."""
    finish: str
    """"stop", or "length" where the answer was cut off."""


class Network:
    """A model and its processor.

    Args:
        model: an AutoModelForImageTextToText in evaluation mode.
        processor: its AutoProcessor.
        name: for the sentences of errors.
    """

    def __init__(self, model: Any, processor: Any, name: str) -> None:
        from transformers import GenerationConfig

        self.model, self.processor, self.tokenizer = model, processor, processor.tokenizer
        self.name = name
        known = model.generation_config
        ends = known.eos_token_id if known is not None else None
        if ends is None:
            ends = self.tokenizer.eos_token_id
        self.ends: list[int] = [ends] if isinstance(ends, int) else list(ends or [])
        """Tokens that end an answer."""
        pad = self.tokenizer.pad_token_id
        self.pad = int(pad if pad is not None else self.ends[0] if self.ends else 0)
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
        for token in self._control:
            if len(token) > 1 and token in text:
                text = text.replace(token, f"{token[0]} {token[1:]}")
        return text

    def write(
        self,
        conversation: Conversation,
        *,
        longest: int,
        choose: Chooser | None = None,
        temperature: float = 0.0,
        seed: int = 0,
        stopped: Callable[[], bool] = lambda: False,
    ) -> Written:
        """Answer a conversation.

        Args:
            conversation: from `families.arrange`.
            longest: most tokens of the answer.
            choose: picks every word; None leaves it to the model.
            temperature: 0 takes the likeliest token, above 0 samples.
            seed: of the sampling; equal seeds give equal answers, whatever else runs.
            stopped: asked after every token; True ends the answer early.
        """
        import torch

        inputs = self.encode(conversation)
        read = int(inputs["input_ids"].shape[1])
        room = longest if self.context is None else min(longest, self.context - read)
        bend = _chosen(choose, read) if choose else _sampled(temperature, seed)
        with torch.inference_mode():
            tokens = self.model.generate(
                **inputs,
                max_new_tokens=room,
                do_sample=False,
                logits_processor=[bend] if bend else [],
                stopping_criteria=[
                    lambda ids, *_, **__: ids.new_full((len(ids),), stopped(), dtype=torch.bool)
                ],
            )
        said = tokens[0, read:].tolist()
        ended = bool(said) and said[-1] in self.ends
        text = self.tokenizer.decode(said, skip_special_tokens=True)
        return Written(text, read, len(said), "stop" if ended else "length")

    def encode(self, conversation: Conversation) -> Any:
        """A conversation as the inputs of the model, on its device.

        Raises:
            ModelUnusable: it is longer than the model can read.
        """
        inputs = self.processor.apply_chat_template(
            [conversation],
            add_generation_prompt=True,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
        )
        read = inputs["input_ids"].shape[1]
        if self.context is not None and read >= self.context:
            raise ModelUnusable(
                f"The prompt has {read:,} tokens and {self.name} reads at most {self.context:,}. "
                "Send fewer or smaller frames, or a shorter history."
            )
        return inputs.to(self.model.device, dtype=self.model.dtype)


def _chosen(choose: Chooser, read: int) -> Callable[[Any, Any], Any]:
    """A logits processor that leaves only the chosen token."""

    def bend(ids: Any, scores: Any) -> Any:
        logits = scores[0].float().cpu().numpy().astype(np.float32)
        token = choose(ids[0, read:].tolist(), logits)
        only = scores.new_full(scores.shape, float("-inf"))
        only[0, token] = 0.0
        return only

    return bend


def _sampled(temperature: float, seed: int) -> Callable[[Any, Any], Any] | None:
    """A logits processor after which the largest score is a draw from the softmax.

    Adding Gumbel noise is sampling; the noise comes from a generator of its own, so no other
    thread's draws change the answer.
    """
    import torch

    if temperature == 0:
        return None
    dice = torch.Generator().manual_seed(seed % 2**63)

    def bend(ids: Any, scores: Any) -> Any:
        noise = torch.empty(scores.shape).exponential_(generator=dice).log()
        return scores.float() / temperature - noise.to(scores.device)

    return bend
