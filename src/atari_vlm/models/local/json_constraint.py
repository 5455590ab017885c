"""Holds an answer to one JSON object, token by token: reasoning in free words, then a legal action.

    {"reasoning": "The ball falls to the left.", "action": "LEFT", "frames": 3}

The words of the reasoning are the model's choice; so is which of the legal actions and how many
frames. Only what would break the object is never offered. A grammar of this one shape needs no
package; which tokens may follow is worked out once for each place of the object.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from atari_vlm.types import Prompt

REASONING = 120
"""Most tokens of reasoning, about the 50 words a prompt asks for with room to spare; after them the
reasoning is closed."""

_OPEN = '{"reasoning": "'


@dataclass(frozen=True, slots=True)
class _Place:
    """Where an answer stands: what may come next, in characters."""

    free: bool
    """In the reasoning, which a quotation mark ends."""
    tails: tuple[str, ...]
    """What may follow to the end; in the reasoning, what follows it, its closing mark included."""

    def after(self, text: str) -> _Place | None:
        """The place after more characters; None where they break the object."""
        if not self.free:
            tails = tuple(tail[len(text) :] for tail in self.tails if tail.startswith(text))
            return _Place(False, tails) if tails else None
        words, mark, rest = text.partition('"')
        if not all(letter.isprintable() and letter != "\\" for letter in words):
            return None
        return _Place(False, self.tails).after(mark + rest) if mark else self


class Vocabulary:
    """The words a tokenizer writes, and which of them may follow at a place.

    Args:
        tokenizer: of the model.
        ends: tokens that end an answer.
    """

    def __init__(self, tokenizer: Any, ends: Sequence[int]) -> None:
        self.ends = list(ends)
        count = len(tokenizer)
        # After another word, as a first one may lose its space.
        (before,) = tokenizer("a", add_special_tokens=False)["input_ids"][-1:]
        start = len(tokenizer.decode([before]))
        pieces = tokenizer.batch_decode([[before, token] for token in range(count)])
        special = set(tokenizer.all_special_ids)
        self._pieces = {
            token: piece[start:]
            for token, piece in enumerate(pieces)
            if token not in special and piece[start:] and "\ufffd" not in piece
        }
        self._first: dict[str, list[int]] = {}
        for token, piece in self._pieces.items():
            self._first.setdefault(piece[0], []).append(token)
        self._known: dict[_Place, dict[int, _Place]] = {}
        self._allowed: dict[_Place, Any] = {}

    def follow(self, place: _Place) -> dict[int, _Place]:
        """Token -> the place it leads to."""
        known = self._known.get(place)
        if known is None:
            if place.free:
                candidates = list(self._pieces)
            else:
                firsts = {tail[0] for tail in place.tails if tail}
                candidates = [token for first in firsts for token in self._first.get(first, ())]
            led = {token: place.after(self._pieces[token]) for token in candidates}
            known = self._known[place] = {k: v for k, v in led.items() if v is not None}
        return known

    def allowed(self, place: _Place, device: Any) -> Any:
        """The tokens that may follow a place, as an index on a device."""
        import torch

        found = self._allowed.get(place)
        if found is None:
            tokens = self.ends if place.tails == ("",) else list(self.follow(place))
            found = self._allowed[place] = torch.tensor(tokens, device=device)
        return found


class Schema:
    """Keeps one answer to the object.

    Args:
        vocabulary: of the model.
        prompt: whose actions and frames are legal.
        longest: tokens the answer may have.
    """

    def __init__(self, vocabulary: Vocabulary, prompt: Prompt, longest: int) -> None:
        held = [f', "frames": {n}' for n in range(1, prompt.longest + 1)] if prompt.plans else [""]
        tails = tuple(
            f'", "action": "{action}"{frames}}}' for action in prompt.legal for frames in held
        )
        self._vocabulary = vocabulary
        self._place = _Place(False, (_OPEN,))
        self._reasoning = _Place(True, tails)
        self._spare = max(1, min(REASONING, longest - max(map(len, tails)) - len(_OPEN)))
        self._read = self._thought = 0
        self._opened = False

    def __call__(self, said: Sequence[int], scores: Any) -> Any:
        """The scores of the next token, with what would break the object at minus infinity."""
        for token in said[self._read :]:
            self._move(token)
        self._read = len(said)
        place = self._place
        if place.free and self._thought >= self._spare:
            place = _Place(False, place.tails)
        allowed = self._vocabulary.allowed(place, scores.device)
        kept = scores.new_full(scores.shape, float("-inf"))
        kept[allowed] = scores[allowed]
        return kept

    def _move(self, token: int) -> None:
        self._thought += self._place.free
        self._place = self._vocabulary.follow(self._place)[token]
        if not self._opened and self._place.tails == ("",):
            self._place, self._opened = self._reasoning, True
