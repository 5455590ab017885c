"""Constrains an answer to one JSON object: free reasoning, then a legal action.

    {"reasoning": "The ball falls to the left.", "action": "LEFT", "frames": 3}

The model chooses the reasoning, the action and the frames. Tokens that would break the object are
masked out. Which tokens may follow is computed once for each state of the object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from atari_vlm.types import Prompt

MAX_REASONING_TOKENS = 120
"""The prompt asks for about 50 words; after this many tokens the reasoning is closed."""

_OPENING = '{"reasoning": "'


@dataclass(frozen=True, slots=True)
class _State:
    """What may come next, in characters."""

    in_reasoning: bool
    """Any text up to a quotation mark may follow."""
    endings: tuple[str, ...]
    """What may follow to the end; in the reasoning, what follows it, with its closing mark."""

    def after(self, text: str) -> _State | None:
        """The state after more characters; None if they break the object."""
        if not self.in_reasoning:
            rest = tuple(end[len(text) :] for end in self.endings if end.startswith(text))
            return _State(False, rest) if rest else None
        reasoning, mark, rest_of_text = text.partition('"')
        if not all(letter.isprintable() and letter != "\\" for letter in reasoning):
            return None
        return _State(False, self.endings).after(mark + rest_of_text) if mark else self


class JSONVocabulary:
    """The text of every token, and which tokens may follow a state.

    Args:
        tokenizer: of the model.
        eos_token_ids: tokens that end an answer.
    """

    def __init__(self, tokenizer: Any, eos_token_ids: Sequence[int]) -> None:
        self._eos_token_ids = list(eos_token_ids)
        count = len(tokenizer)
        # Decoded after another token, because the first token of a text may lose its space.
        (before,) = tokenizer("a", add_special_tokens=False)["input_ids"][-1:]
        start = len(tokenizer.decode([before]))
        texts = tokenizer.batch_decode([[before, token] for token in range(count)])
        special = set(tokenizer.all_special_ids)
        self._texts = {
            token: text[start:]
            for token, text in enumerate(texts)
            if token not in special and text[start:] and "\ufffd" not in text
        }
        self._by_first_letter: dict[str, list[int]] = {}
        for token, text in self._texts.items():
            self._by_first_letter.setdefault(text[0], []).append(token)
        self._transitions: dict[_State, dict[int, _State]] = {}
        self._allowed: dict[_State, Any] = {}

    def transitions(self, state: _State) -> dict[int, _State]:
        """Token -> the state it leads to."""
        known = self._transitions.get(state)
        if known is None:
            if state.in_reasoning:
                tokens = list(self._texts)
            else:
                letters = {end[0] for end in state.endings if end}
                tokens = [t for letter in letters for t in self._by_first_letter.get(letter, ())]
            after = {token: state.after(self._texts[token]) for token in tokens}
            known = self._transitions[state] = {k: v for k, v in after.items() if v is not None}
        return known

    def allowed(self, state: _State, device: Any) -> Any:
        """The ids of the tokens that may follow a state, as a tensor on a device."""
        import torch

        ids = self._allowed.get(state)
        if ids is None:
            tokens = self._eos_token_ids if state.endings == ("",) else self.transitions(state)
            ids = self._allowed[state] = torch.tensor(list(tokens), device=device)
        return ids


class JSONConstraint:
    """A logits processor for one answer.

    Args:
        vocabulary: of the model.
        prompt: its actions and frames are the legal ones.
        max_new_tokens: of the answer; the reasoning is closed in time for the rest.
    """

    def __init__(self, vocabulary: JSONVocabulary, prompt: Prompt, max_new_tokens: int) -> None:
        frames = (
            [f', "frames": {n}' for n in range(1, prompt.longest + 1)] if prompt.plans else [""]
        )
        endings = tuple(
            f'", "action": "{action}"{frame}}}' for action in prompt.legal for frame in frames
        )
        self._vocabulary = vocabulary
        self._state = _State(False, (_OPENING,))
        self._reasoning = _State(True, endings)
        room = max_new_tokens - max(map(len, endings)) - len(_OPENING)
        self._max_reasoning_tokens = max(1, min(MAX_REASONING_TOKENS, room))
        self._tokens = self._reasoning_tokens = 0
        self._is_open = False

    def __call__(self, token_ids: Sequence[int], logits: Any) -> Any:
        """The logits with every token that would break the object at minus infinity."""
        for token in token_ids[self._tokens :]:
            self._advance(token)
        self._tokens = len(token_ids)
        state = self._state
        if state.in_reasoning and self._reasoning_tokens >= self._max_reasoning_tokens:
            state = _State(False, state.endings)
        allowed = self._vocabulary.allowed(state, logits.device)
        masked = logits.new_full(logits.shape, float("-inf"))
        masked[allowed] = logits[allowed]
        return masked

    def _advance(self, token: int) -> None:
        self._reasoning_tokens += self._state.in_reasoning
        self._state = self._vocabulary.transitions(self._state)[token]
        if not self._is_open and self._state.endings == ("",):
            self._state, self._is_open = self._reasoning, True
