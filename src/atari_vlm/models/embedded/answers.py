"""The requests and the answers of an embedded checkpoint, from its `answers.json`.

`atari-vlm distill` writes the file beside the weights. This module needs neither torch nor
onnxruntime: it turns logits into tokens, wherever the logits come from.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from atari_vlm.atari.images import motion
from atari_vlm.errors import ModelUnusable
from atari_vlm.models.embedded.checkpoints import read_json
from atari_vlm.models.embedded.grammar import Grammar
from atari_vlm.models.embedded.rules_check import check_rules
from atari_vlm.models.embedded.vocabulary import Vocabulary
from atari_vlm.types import Pixels, Plan, Prompt

FILE = "answers.json"

TokenSampler: TypeAlias = Callable[[Sequence[int], NDArray[np.float32]], int]
"""(tokens of the answer so far, logits of the next token) -> the next token."""


@dataclass(frozen=True, slots=True)
class _Game:
    sentences: Grammar
    clauses: dict[str, Grammar]
    """Object -> the clauses that locate it."""
    plans: dict[int, Plan]
    """Token -> its plan."""
    signed_frames: dict[int, int]
    """Token of a plan along the game's axis -> its frames, negative in the first direction; empty
    without an axis."""
    axis_tokens: dict[int, int]
    """Signed frames -> the first token with them."""


class AnswerRules:
    """The requests and sentences of one checkpoint.

    Args:
        folder: a checkpoint with `answers.json` and `tokenizer.json`.

    Raises:
        ModelUnusable: one of the files cannot be read, or is damaged; the message says which.
    """

    def __init__(self, folder: Path) -> None:
        name = "tokenizer.json"
        try:
            self._vocabulary = Vocabulary(read_json(folder / name))
            name = FILE
            rules = read_json(folder / name)
            check_rules(rules)
            self._read_rules(rules)
        except (ModelUnusable, ValueError) as error:
            message = f"{folder / name} is damaged: {error}."
            if isinstance(error, ModelUnusable):
                message = error.message
            raise ModelUnusable(
                f"{message} If it is of another version, train the model again: atari-vlm distill "
                "--out FOLDER."
            ) from error

    def _read_rules(self, rules: dict[str, Any]) -> None:
        self.image_size: int = rules["side"]
        """Width and height of the model's image, in pixels."""
        self.pool_frames: str = rules.get("pool_frames", "brighter")
        """How the screens of its training were pooled; see `atari.pooling`."""
        self.requests: dict[str, str] = rules["requests"]
        """Name -> request: "see" for objects and a plan, "act" for a plan alone, "look" for one
        object."""
        (self.end,) = self.encode("<end_of_utterance>")[:1] or (-1,)
        """The token that ends an answer."""
        encode = lru_cache(None)(lambda text: tuple(self.encode(text)))  # games share most words
        self._games = {
            game: self._read_game(entry, {**rules["kinds"], **entry["kinds"]}, encode)
            for game, entry in rules["games"].items()
        }

    def _read_game(
        self,
        entry: dict[str, Any],
        kinds: dict[str, list[str]],
        encode: Callable[[str], tuple[int, ...]],
    ) -> _Game:
        def parse(patterns: list[str]) -> Grammar:
            grammar = Grammar.parse(patterns, kinds, encode, self.end)
            if any(self.end in slot.tokens for one in grammar.sentences for slot in one[:-1]):
                raise ValueError("the end of an answer is inside a sentence")
            return grammar

        for word in (word for words in kinds.values() for word in words):
            if len(encode(word)) != 1 or encode(word)[0] == self._vocabulary.unknown:
                raise ValueError(f"the tokenizer has no token for {word!r}")
        plans = {
            encode(text)[0]: Plan(text.split()[0], int(text.split()[2])) for text in kinds["plan"]
        }
        signed_frames = _signed_frames(entry["axis"] or (), plans)
        return _Game(
            sentences=parse(entry["answers"]),
            clauses={name: parse(patterns) for name, patterns in entry["looks"].items()},
            plans=plans,
            signed_frames=signed_frames,
            axis_tokens=_first_tokens(signed_frames),
        )

    @property
    def pictures(self) -> dict[str, Any]:
        """How frames become the picture of `image`, for the record of a run."""
        return {"form": "motion", "side": self.image_size}

    @property
    def games(self) -> tuple[str, ...]:
        """The games that the checkpoint was trained on."""
        return tuple(self._games)

    def plans(self, game: str) -> dict[int, Plan]:
        """Token -> its plan, in the order of training."""
        return self._games[game].plans

    @property
    def largest_token(self) -> int:
        """The largest token id of the vocabulary."""
        return self._vocabulary.largest

    def encode(self, text: str) -> list[int]:
        """Text -> token ids."""
        return self._vocabulary.encode(text)

    def decode(self, tokens: Sequence[int]) -> str:
        """Token ids -> text."""
        return self._vocabulary.decode(tokens)

    def unknown_words(self, text: str) -> list[str]:
        """The words of a text that are not in the vocabulary."""
        return self._vocabulary.unknown_words(text)

    def parse_prompt(self, prompt: Prompt, model_name: str) -> tuple[str, str]:
        """The request of a prompt, and the game that the request names.

        Args:
            prompt: of the type "embedded".
            model_name: for the errors.

        Raises:
            ModelUnusable: the prompt names no game of the checkpoint, or has unknown words.
        """
        request = request_of(prompt)
        game = find_game(self.games, request, model_name)
        unknown = self.unknown_words(request)
        if unknown:
            raise ModelUnusable(
                f"{model_name} was never taught the words {', '.join(unknown[:3])!r}. Use the "
                f"prompt type 'embedded', which asks: {self.requests['see'].format(game=game)!r}"
            )
        return request, game

    def image(self, prompt: Prompt, model_name: str) -> Pixels:
        """The last two frames as one image, (image_size, image_size, 3) uint8.

        Raises:
            ModelUnusable: the prompt has no frame.
        """
        if not prompt.frames:
            raise ModelUnusable(f"{model_name} needs a frame to look at; this prompt has none.")
        before, now = (*prompt.frames[-1:], *prompt.frames)[-2:]
        return motion(before, now, (self.image_size, self.image_size))

    def token_sampler(
        self, request: str, game: str, rng: np.random.Generator | None
    ) -> TokenSampler:
        """The function that chooses the tokens of an answer.

        Args:
            request: the text of the prompt.
            game: the game that the request names.
            rng: draws the plan around its expected value; None takes the likeliest plan.
        """
        grammar = self.grammar(request, game)

        def sample(tokens: Sequence[int], logits: NDArray[np.float32]) -> int:
            return self.sample_token(logits, grammar.allowed_tokens(tokens), game, rng)

        return sample

    def grammar(self, request: str, game: str) -> Grammar:
        """The sentences that answer a request."""
        rules = self._games[game]
        for name, clauses in rules.clauses.items():
            if request == self.requests["look"].format(game=game, thing=name):
                return clauses
        return rules.sentences

    def sample_token(
        self,
        logits: NDArray[np.float32],
        allowed: tuple[int, ...],
        game: str,
        rng: np.random.Generator | None,
    ) -> int:
        """The likeliest allowed token; with `rng`, a plan is drawn around its expected value."""
        if len(allowed) == 1:
            return allowed[0]
        rules = self._games[game]
        best = allowed[int(np.argmax(logits[_array(allowed)]))]
        if rng is None or best not in rules.plans:
            return best
        return _sample_plan(logits, rules, best, rng)


def request_of(prompt: Prompt) -> str:
    """The text of a prompt's user messages."""
    parts = [p for m in prompt.messages if m.role == "user" for p in m.parts]
    return " ".join(part for part in parts if isinstance(part, str)).strip()


def find_game(games: Sequence[str], request: str, model_name: str) -> str:
    """The game that a request names.

    Args:
        games: the games to choose from.
        request: the text of a prompt.
        model_name: for the error.

    Raises:
        ModelUnusable: the request names none of the games.
    """
    for game in games:
        if re.search(rf"\b{game}\b", request):
            return game
    raise ModelUnusable(
        f"{model_name} plays {', '.join(games)}, and this prompt names none of them. Choose one of "
        "these games, or another model."
    )


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities that sum to 1."""
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(powers / powers.sum())


def _sample_plan(
    logits: NDArray[np.float32], rules: _Game, best: int, rng: np.random.Generator
) -> int:
    """The plan with the expected signed frames, drawn between the two whole numbers around them."""
    if best not in rules.signed_frames:
        return best
    tokens = rules.axis_tokens
    expected = float(np.dot(softmax(logits[list(tokens.values())]), list(tokens)))
    return tokens[min(max(tokens), math.floor(expected + rng.random()))]


def _signed_frames(axis: Sequence[str], plans: Mapping[int, Plan]) -> dict[int, int]:
    if not axis:
        return {}
    sign = {axis[0]: -1, axis[1]: 1, "NOOP": 0}
    return {
        token: sign[action] * frames for token, (action, frames) in plans.items() if action in sign
    }


def _first_tokens(signed_frames: Mapping[int, int]) -> dict[int, int]:
    tokens: dict[int, int] = {}
    for token, frames in signed_frames.items():
        tokens.setdefault(frames, token)
    return tokens


@lru_cache(maxsize=4_096)
def _array(tokens: tuple[int, ...]) -> NDArray[np.int64]:
    return np.array(tokens, np.int64)
