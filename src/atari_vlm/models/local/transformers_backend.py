"""Runs a model of transformers: batched generation, and scoring of candidate answers.

Each answer of a batch is the one that its conversation would get alone, up to the last bits of the
arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from atari_vlm.errors import ModelUnusable
from atari_vlm.models.local.backend import LocalBackend
from atari_vlm.models.local.chat_template import RENDERED, ChatTemplate
from atari_vlm.models.local.conversation import Conversation
from atari_vlm.models.local.generation import Generation, GenerationRequest
from atari_vlm.models.local.scoring import Candidates, score_candidates
from atari_vlm.models.local.video_processor import FrameVideoProcessor
from atari_vlm.models.local.vision_feature_cache import VisionFeatureCache


class TransformersBackend(LocalBackend):
    """A model and processor of transformers.

    Args:
        model: an AutoModelForImageTextToText in evaluation mode.
        processor: its AutoProcessor.
        name: for error messages.
        cache_features: whether the vision features of an image are reused in later prompts.

    Raises:
        ModelUnusable: the processor has no chat template.
    """

    def __init__(
        self, model: Any, processor: Any, name: str, *, cache_features: bool = False
    ) -> None:
        from transformers import GenerationConfig

        super().__init__(model, processor.tokenizer, name)
        self.processor = processor
        self.tokenizer.padding_side = "left"
        eos = self.eos_token_ids
        pad = self.tokenizer.pad_token_id
        self.pad_token_id = int(pad if pad is not None else eos[0] if eos else 0)
        if pad is None:
            self.tokenizer.pad_token_id = self.pad_token_id
        # A hub checkpoint may ask for sampling and penalties of its own, which no run would record.
        model.generation_config = GenerationConfig(
            eos_token_id=eos,
            pad_token_id=self.pad_token_id,
            bos_token_id=self.tokenizer.bos_token_id,
        )
        text_config = model.config.get_text_config()
        self.context_length = getattr(text_config, "max_position_embeddings", None)
        self.control_tokens = [
            token.content for token in self.tokenizer.added_tokens_decoder.values() if token.special
        ]
        self._chat_template = self._find_chat_template()
        self.supports_system = self._template_has_system_role()
        self.vision_cache = VisionFeatureCache(model, processor) if cache_features else None
        """None if every prompt encodes all of its images."""

    def _find_chat_template(self) -> ChatTemplate:
        template = self.processor.chat_template
        if isinstance(template, dict):
            template = template.get("default")
        if not template or not isinstance(template, str):
            raise ModelUnusable(
                f"{self.name} has no chat template, so it was not made to follow instructions. "
                "Choose its -Instruct or -chat version."
            )
        return ChatTemplate(template, self.name, self.tokenizer.special_tokens_map)

    def close(self) -> None:
        """End the process of the chat template."""
        self._chat_template.close()

    def _template_has_system_role(self) -> bool:
        content = [{"type": "text", "text": "PROBE"}]
        probe = [{"role": "system", "content": content}, {"role": "user", "content": content}]
        try:
            (text,) = self._chat_template.render([probe])
        except ModelUnusable:  # the template refuses it
            return False
        return text.count("PROBE") == 2 and "'text'" not in text

    def score_candidates(
        self, conversations: Sequence[Conversation], candidates: Candidates
    ) -> list[list[float]]:
        """Log-probability of each candidate; see `scoring.score_candidates`."""
        return score_candidates(
            self.model,
            self.encode(conversations),
            candidates,
            eos_token_ids=self.eos_token_ids,
            pad_token_id=self.pad_token_id,
        )

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """Generate all answers in one batch."""
        import torch

        inputs = self.encode([request.conversation for request in requests])
        start = int(inputs["input_ids"].shape[1])
        input_tokens = [int(count) for count in inputs["attention_mask"].sum(-1)]
        criteria = [
            self.stopping_criterion(request, tokens)
            for request, tokens in zip(requests, input_tokens, strict=True)
        ]

        def process_logits(ids: Any, logits: Any) -> Any:
            processed = logits.clone().float()
            for row, criterion in enumerate(criteria):
                token_ids = ids[row, start:].tolist()
                if not criterion.is_done(token_ids):
                    for process in criterion.request.logits_processors:
                        processed[row] = process(token_ids, processed[row])
            return processed

        def is_done(ids: Any, *_: Any, **__: Any) -> Any:
            return torch.tensor(
                [c.is_done(ids[row, start:].tolist()) for row, c in enumerate(criteria)],
                device=ids.device,
            )

        has_processors = any(request.logits_processors for request in requests)
        with torch.inference_mode():
            ids = self.model.generate(
                **inputs,
                max_new_tokens=max(criterion.max_new_tokens for criterion in criteria),
                do_sample=False,
                logits_processor=[process_logits] if has_processors else [],
                stopping_criteria=[is_done],
            )
        return [
            self.decode(criterion.truncate(ids[row, start:].tolist()), tokens)
            for row, (criterion, tokens) in enumerate(zip(criteria, input_tokens, strict=True))
        ]

    def encode(self, conversations: Sequence[Conversation]) -> dict[str, Any]:
        """The model's inputs for a batch of conversations, on its device, padded on the left.

        Raises:
            ModelUnusable: a prompt is longer than the context.
        """
        import torch

        for part in (self.vision_cache, getattr(self.processor, "video_processor", None)):
            if isinstance(part, VisionFeatureCache | FrameVideoProcessor):
                part.expect(conversations)
        batch = self.processor.apply_chat_template(
            self._chat_template.rendered(conversations),
            chat_template=RENDERED,
            tokenize=True,
            return_dict=True,
            return_tensors="pt",
            processor_kwargs={"padding": True} if len(conversations) > 1 else None,
        )
        longest = int(batch["attention_mask"].sum(-1).max())
        self.check_length(longest, "Send fewer or smaller frames, or a shorter history.")
        inputs = dict(batch.to(self.model.device, dtype=self.model.dtype))
        inner: Any = getattr(self.model, "model", None)
        if getattr(inner, "rope_deltas", None) is not None:
            inner.rope_deltas = None  # left over from the last prompt, which may have had images
        if self.vision_cache is not None:
            with torch.inference_mode():
                inputs = self.vision_cache.replace_pixels(inputs)
        return inputs
