"""Inference of one embedded checkpoint with onnxruntime, on one core and without torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from atari_vlm.errors import ModelUnusable
from atari_vlm.models.embedded.answers import AnswerRules, softmax
from atari_vlm.models.embedded.checkpoints import FILES, find_file, is_shipped, read
from atari_vlm.models.embedded.grammar import GrammarMatcher
from atari_vlm.models.embedded.sessions import Sessions
from atari_vlm.types import Pixels, Plan

_SlotLogits: TypeAlias = dict[tuple[str, ...], NDArray[np.float32]]
"""`GrammarMatcher.slot_names` of a position -> the newest logits at that position."""


@dataclass(slots=True)
class Answer:
    """An answer and its token counts."""

    text: str
    plan: Plan | None
    """None if only an object was asked for."""
    input_tokens: int
    """Tokens of the prompt, image tokens included."""
    output_tokens: int


class EmbeddedRuntime:
    """Reads one image and a request, and writes the likeliest answer that its grammar allows.

    The whole answer is drafted and checked in one forward pass. Tokens after the first wrong one
    are drafted again from the logits at their positions, until all are right (Jacobi decoding,
    Santilli et al. 2023, arXiv:2305.10427). The answer equals that of decoding token by token, in a
    third of the passes. The first draft is always the same, so an answer depends on its inputs
    only.

    Args:
        folder: a checkpoint that `distill` wrote: two ONNX graphs, their weights, the tokenizer and
            the sentences of each game.

    Raises:
        ModelUnusable: a file is missing, damaged, too large, of an older version, or asks for what
            no checkpoint of `distill` needs.
    """

    def __init__(self, folder: Path) -> None:
        paths = {name: find_file(folder, name) for name in FILES}
        missing = [name for name, path in paths.items() if not path.is_file()]
        if missing:
            raise ModelUnusable(
                f"There are no weights of an embedded model in {folder}: it lacks "
                f"{', '.join(missing)}. Train your own with `atari-vlm distill --out FOLDER`, or "
                "reinstall atari-vlm if these are its own."
            )
        digest = hashlib.sha256()
        for path in paths.values():
            digest.update(read(path))
        self.digest = digest.hexdigest()[:12]
        """Of the files that decide the answers."""
        self._folder = folder
        self.answers = AnswerRules(folder)
        self._sessions = Sessions(folder, self.answers)
        self._encode = lru_cache(maxsize=256)(self.answers.encode)
        self._empty_cache = np.zeros(self._sessions.cache_shape, np.float32)
        if not is_shipped(folder):  # its own weights are known to answer
            side = self.answers.image_size
            self.plan(np.zeros((side, side, 3), np.uint8), self.games[0], np.random.default_rng(0))

    @property
    def games(self) -> tuple[str, ...]:
        """The games that the checkpoint was trained on."""
        return self.answers.games

    def least_tokens(self, game: str) -> int:
        """Tokens of the usual prompt, image tokens included, and of its shortest answer."""
        side, request = self.answers.image_size, self.answers.requests["see"].format(game=game)
        seen = self._sessions.encode(np.zeros((side, side, 3), np.uint8)).shape[1]
        shortest = min(map(len, self.answers.grammar(request, game).sentences))
        return len(self._prompt(request, seen)) + shortest

    def plan(self, image: Pixels, game: str, rng: np.random.Generator) -> Plan:
        """The plan at the end of a whole answer."""
        plan = self.answer(image, self.answers.requests["see"].format(game=game), game, rng).plan
        assert plan is not None  # every sentence about a whole screen ends in a plan
        return plan

    def answer(
        self, image: Pixels, request: str, game: str, rng: np.random.Generator | None
    ) -> Answer:
        """Write an answer.

        Args:
            image: from `images.motion`, (image_size, image_size, 3) uint8.
            request: the text of the prompt.
            game: the game that the request names.
            rng: draws the plan around its expected value; None takes the likeliest plan.

        Raises:
            ModelUnusable: the graphs or the sentences of the checkpoint allow no answer.
        """
        try:
            return self._answer(image, request, game, rng)
        except (ValueError, LookupError) as error:  # of sentences that contradict each other
            raise ModelUnusable(
                f"The sentences of {game} in {self._folder} allow no answer ({error}). Train the "
                "model again: atari-vlm distill --out FOLDER."
            ) from error

    def _answer(
        self, image: Pixels, request: str, game: str, rng: np.random.Generator | None
    ) -> Answer:
        matcher = self.answers.grammar(request, game).matcher()
        features = self._sessions.encode(image)
        pending = self._prompt(request, features.shape[1])
        input_tokens, cache = len(pending), self._empty_cache
        slot_logits: _SlotLogits = {}
        while matcher.allowed_tokens != (self.answers.end,):
            draft, names = self._draft(matcher.copy(), slot_logits, game)
            logits, cache = self._forward([*pending, *draft], features, cache, 1 + len(draft))
            slot_logits.update(zip(names, logits, strict=True))
            pending = []
            correct = 0
            for row, drafted in zip(logits, [*draft, None], strict=True):
                token = self.answers.sample_token(row, matcher.allowed_tokens, game, rng)
                matcher.accept(token)
                if token != drafted:
                    pending.append(token)
                    break
                correct += 1
            cache = cache[:, :, : cache.shape[2] - len(draft) + correct]
        plan = self.answers.plans(game).get(matcher.tokens[-1])
        text = self.answers.decode(matcher.tokens)
        return Answer(text, plan, input_tokens, len(matcher.tokens) + 1)

    def _draft(
        self, matcher: GrammarMatcher, slot_logits: _SlotLogits, game: str
    ) -> tuple[list[int], list[tuple[str, ...]]]:
        """Draft the rest of an answer: all tokens but the last, and the slot names of all.

        Args:
            matcher: the answer so far; this call advances it to the end.
            slot_logits: logits of earlier passes, when other tokens came before.
            game: the game of the answer.
        """
        start, names = len(matcher.tokens), []
        while matcher.allowed_tokens != (self.answers.end,):
            names.append(matcher.slot_names)
            row = slot_logits.get(matcher.slot_names)
            if row is None:
                matcher.accept(matcher.middle_token())
            else:
                matcher.accept(self.answers.sample_token(row, matcher.allowed_tokens, game, None))
        return matcher.tokens[start:-1], names

    def probabilities(self, image: Pixels, game: str) -> dict[Plan, float]:
        """Probability of every plan of a game, in one forward pass."""
        features = self._sessions.encode(image)
        prompt = self._prompt(self.answers.requests["act"].format(game=game), features.shape[1])
        (row,), _ = self._forward(prompt, features, self._empty_cache, 1)
        plans = self.answers.plans(game)
        chances = softmax(row[list(plans)])
        return {plan: float(p) for plan, p in zip(plans.values(), chances, strict=True)}

    def _prompt(self, request: str, image_tokens: int) -> list[int]:
        fake = "<fake_token_around_image>"
        image = f"{fake}<global-img>{'<image>' * image_tokens}{fake}"
        return self._encode(f"<|im_start|>User: {image}{request}<end_of_utterance>\nAssistant: ")

    def _forward(
        self,
        ids: list[int],
        features: NDArray[np.float32],
        cache: NDArray[np.float32],
        last: int,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits after each of the last `last` tokens, and the key-value cache with all tokens."""
        rows = np.arange(len(ids) - last, len(ids))
        return self._sessions.decode(np.array([ids], np.int64), features, cache, rows)
