"""CogVLM2, generated and scored through the code that comes with its checkpoint.

The code was written for an older transformers: its `generate` no longer works, its forward pass
does. The generation loop is therefore here, with the tuple of keys and values that the code
returns. A conversation has at most one image.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from atari_vlm.models.local.backend import LocalBackend
from atari_vlm.models.local.conversation import Conversation, images_of
from atari_vlm.models.local.generation import Generation, GenerationRequest
from atari_vlm.models.local.scoring import Candidates, TokenIds, token_log_probs


@dataclass(frozen=True, slots=True)
class _State:
    """The model's state after the tokens read so far."""

    logits: Any
    """Of the next token, (vocabulary,)."""
    past_key_values: Any
    """A tuple, as the model's code returns it."""
    mask: Any
    """(1, tokens)."""
    position: Any
    """Of the last token, (1, 1)."""


class CogVLM2Backend(LocalBackend):
    """A loaded CogVLM2. It answers one conversation at a time.

    Args:
        model: its CogVLMForCausalLM.
        tokenizer: its tokenizer.
        name: for error messages.
    """

    context_length: int

    def __init__(self, model: Any, tokenizer: Any, name: str) -> None:
        super().__init__(model, tokenizer, name)
        self._build_position_ids = sys.modules[type(model).__module__].build_position_ids
        self.context_length = model.config.max_position_embeddings
        self.control_tokens = list(tokenizer.all_special_tokens)

    def generate(self, requests: Sequence[GenerationRequest]) -> list[Generation]:
        """Generate the answers one after the other."""
        return [self._generate(request) for request in requests]

    def _generate(self, request: GenerationRequest) -> Generation:
        import torch

        with torch.inference_mode():
            state, input_tokens = self._prefill(request.conversation)
            criterion = self.stopping_criterion(request, input_tokens)
            token_ids: list[int] = []
            while not criterion.is_done(token_ids):
                if token_ids:
                    state = self._step(state, token_ids[-1])
                logits = state.logits.float()
                for process in request.logits_processors:
                    logits = process(token_ids, logits)
                token_ids.append(int(logits.argmax()))
        return self.decode(token_ids, input_tokens)

    def score_candidates(
        self, conversations: Sequence[Conversation], candidates: Candidates
    ) -> list[list[float]]:
        """Log-probability of each candidate, one conversation after the other."""
        import torch

        scores = []
        for conversation in conversations:
            with torch.inference_mode():
                state, _ = self._prefill(conversation)
                for token in candidates.shared:
                    state = self._step(state, token)
                states: dict[TokenIds, _State] = {(): state}
                known = {}
                for prefix in sorted(candidates.next_tokens, key=len):
                    if prefix:
                        states[prefix] = self._step(states[prefix[:-1]], prefix[-1])
                    logs = token_log_probs(
                        states[prefix].logits, candidates.next_tokens[prefix], self.eos_token_ids
                    )
                    known.update({(prefix, token): log for token, log in logs.items()})
            scores.append(candidates.log_probs(known))
        return scores

    def _prefill(self, conversation: Conversation) -> tuple[_State, int]:
        """Read a conversation; also the number of its tokens."""
        images = images_of(conversation)
        texts = [
            part["text"]
            for message in conversation
            for part in message["content"]
            if "text" in part
        ]
        inputs = self.model.build_conversation_input_ids(
            self.tokenizer,
            query="".join(texts).strip(),
            history=[],
            images=images,
            template_version="chat",
        )
        device, dtype = self.model.device, self.model.dtype
        ids, token_types, mask = (
            inputs[name].unsqueeze(0).to(device)
            for name in ("input_ids", "token_type_ids", "attention_mask")
        )
        self.check_length(int(ids.shape[1]), "Send a shorter history.")
        positions = self._build_position_ids(token_types, mask)
        kwargs = {"images": [[inputs["images"][0].to(device, dtype)]]} if images else {}
        start = _State(None, None, mask, positions[:, -1:])
        return self._forward(start, ids, token_types, positions, **kwargs), int(ids.shape[1])

    def _step(self, state: _State, token: int) -> _State:
        """Read one more token."""
        import torch

        ids = torch.tensor([[token]], device=self.model.device)
        mask = torch.cat([state.mask, torch.ones_like(ids).to(state.mask.dtype)], 1)
        state = replace(state, mask=mask, position=state.position + 1)
        return self._forward(state, ids, torch.zeros_like(ids), state.position)

    def _forward(
        self, state: _State, ids: Any, token_types: Any, positions: Any, **kwargs: Any
    ) -> _State:
        out = self.model(
            input_ids=ids,
            token_type_ids=token_types,
            position_ids=positions,
            attention_mask=state.mask,
            past_key_values=state.past_key_values,
            use_cache=True,
            return_dict=True,
            output_attentions=False,
            output_hidden_states=False,
            **kwargs,
        )
        return replace(state, logits=out.logits[0, -1], past_key_values=out.past_key_values)
