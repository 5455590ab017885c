"""What a checkpoint of the project's own can be asked, and the sentences it can say.

`atari-vlm distill` writes both into `answers.json` beside the weights. Nothing here needs torch or
onnxruntime: whoever has logits asks `chooser` for the next word.
"""

from __future__ import annotations

import json
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
from atari_vlm.models.embedded.grammar import Grammar
from atari_vlm.models.embedded.vocabulary import Vocabulary
from atari_vlm.types import Pixels, Prompt

FILE = "answers.json"

Chooser: TypeAlias = Callable[[Sequence[int], NDArray[np.float32]], int]
"""(tokens said so far, logits of the next) -> the next token."""


@dataclass(frozen=True, slots=True)
class _Game:
    whole: Grammar
    looks: dict[str, Grammar]
    """Thing -> the clauses that may say where it is."""
    plans: dict[int, tuple[str, int]]
    """Token -> the (action, frames) it names."""
    pushes: dict[int, int]
    """Token -> the push it names, where pushes can be averaged: frames, with the sign of a side."""
    pushed: dict[int, int]
    """Push -> the first token that names it."""


class Answers:
    """The requests and sentences of one checkpoint.

    Args:
        folder: holds `answers.json` and `tokenizer.json`.

    Raises:
        ModelUnusable: either cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        try:
            self._vocabulary = Vocabulary(folder / "tokenizer.json")
            rules = json.loads((folder / FILE).read_text(encoding="utf-8"))
            self._read_rules(rules)
        except Exception as error:
            raise ModelUnusable(
                f"{FILE} or tokenizer.json in {folder} is damaged ({type(error).__name__}), or of "
                "another version. Train it anew: atari-vlm distill --out FOLDER."
            ) from error

    def _read_rules(self, rules: dict[str, Any]) -> None:
        self.side: int = rules["side"]
        """Width and height of the picture it reads."""
        self.requests: dict[str, str] = rules["requests"]
        """What it can be asked: "see" for objects and a plan, "act" for the plan alone, "look" for
        one thing."""
        (self.end,) = self.encode("<end_of_utterance>")
        """The token that ends an answer."""
        self._games = {
            game: self._read_game(entry, {**rules["kinds"], **entry["kinds"]})
            for game, entry in rules["games"].items()
        }

    def _read_game(self, entry: dict[str, Any], kinds: dict[str, list[str]]) -> _Game:
        def parse(patterns: list[str]) -> Grammar:
            return Grammar.parse(patterns, kinds, self.encode, self.end)

        plans = {
            self.encode(words)[0]: (words.split()[0], int(words.split()[2]))
            for words in kinds["plan"]
        }
        pushes = _pushes(entry["axis"] or (), plans)
        return _Game(
            whole=parse(entry["answers"]),
            looks={thing: parse(patterns) for thing, patterns in entry["looks"].items()},
            plans=plans,
            pushes=pushes,
            pushed=_first(pushes),
        )

    @property
    def games(self) -> tuple[str, ...]:
        """The games it was trained on."""
        return tuple(self._games)

    def plans(self, game: str) -> dict[int, tuple[str, int]]:
        """Token -> the (action, frames) it names, in the order of training."""
        return self._games[game].plans

    def encode(self, text: str) -> list[int]:
        """Text -> token ids."""
        return self._vocabulary.encode(text)

    def decode(self, tokens: Sequence[int]) -> str:
        """Token ids -> text."""
        return self._vocabulary.decode(tokens)

    def strange(self, text: str) -> list[str]:
        """The words of a text that it was never taught."""
        return self._vocabulary.strange(text)

    def asked(self, prompt: Prompt, name: str) -> tuple[str, str]:
        """The words of a prompt and the game they name.

        Args:
            prompt: of the type "embedded".
            name: of the model, for the sentences of the errors.

        Raises:
            ModelUnusable: the prompt names no game of the checkpoint, or uses strange words.
        """
        request = words_of(prompt)
        game = named(self.games, request, name)
        strange = self.strange(request)
        if strange:
            raise ModelUnusable(
                f"{name} was never taught the words {', '.join(strange[:3])!r}. Use the prompt "
                f"type 'embedded', which asks: {self.requests['see'].format(game=game)!r}"
            )
        return request, game

    def picture(self, prompt: Prompt, name: str) -> Pixels:
        """The last two frames as the one picture it reads, (side, side, 3) uint8."""
        if not prompt.frames:
            raise ModelUnusable(f"{name} needs a frame to look at; this prompt has none.")
        before, now = (*prompt.frames[-1:], *prompt.frames)[-2:]
        return motion(before, now, (self.side, self.side))

    def chooser(self, request: str, game: str, rng: np.random.Generator | None) -> Chooser:
        """Whoever picks the next word of an answer.

        Args:
            request: the words of the prompt.
            game: the game they name.
            rng: draws the plan around its expected push; None takes the likeliest plan.
        """
        grammar = self.grammar(request, game)

        def choose(said: Sequence[int], logits: NDArray[np.float32]) -> int:
            return self.pick(logits, grammar.allowed(said), game, rng)

        return choose

    def grammar(self, request: str, game: str) -> Grammar:
        """The sentences that answer a request."""
        rules = self._games[game]
        for thing, clauses in rules.looks.items():
            if request == self.requests["look"].format(game=game, thing=thing):
                return clauses
        return rules.whole

    def pick(
        self,
        logits: NDArray[np.float32],
        allowed: tuple[int, ...],
        game: str,
        rng: np.random.Generator | None,
    ) -> int:
        """The likeliest of the tokens allowed; a plan is drawn around its expected push."""
        if len(allowed) == 1:
            return allowed[0]
        rules = self._games[game]
        best = allowed[int(np.argmax(logits[_array(allowed)]))]
        if rng is None or best not in rules.plans:
            return best
        return _steer(logits, rules, best, rng)


def words_of(prompt: Prompt) -> str:
    """What a prompt asks, without its pictures."""
    parts = [p for m in prompt.messages if m.role == "user" for p in m.parts]
    return " ".join(part for part in parts if isinstance(part, str)).strip()


def named(games: Sequence[str], request: str, name: str) -> str:
    """The game a request names.

    Args:
        games: that are known.
        request: the words of a prompt.
        name: of the model, for the sentence of the error.

    Raises:
        ModelUnusable: none of them is named.
    """
    for game in games:
        if re.search(rf"\b{game}\b", request):
            return game
    raise ModelUnusable(
        f"{name} plays {', '.join(games)}, and this prompt names none of them. Choose one of these "
        "games, or another model."
    )


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    """Probabilities that sum to 1."""
    powers = np.exp(logits.astype(np.float64) - logits.max())
    return np.asarray(powers / powers.sum())


def _steer(logits: NDArray[np.float32], rules: _Game, best: int, rng: np.random.Generator) -> int:
    """The plan at the expected push, drawn between the two whole numbers around it."""
    if best not in rules.pushes:
        return best
    tokens = rules.pushed
    expected = float(np.dot(softmax(logits[list(tokens.values())]), list(tokens)))
    return tokens[min(max(tokens), math.floor(expected + rng.random()))]


def _pushes(axis: Sequence[str], plans: Mapping[int, tuple[str, int]]) -> dict[int, int]:
    """Token of a plan along an axis -> its frames towards the second action, or minus the first."""
    if not axis:
        return {}
    sign = {axis[0]: -1, axis[1]: 1, "NOOP": 0}
    return {
        token: sign[action] * frames for token, (action, frames) in plans.items() if action in sign
    }


def _first(pushes: Mapping[int, int]) -> dict[int, int]:
    tokens: dict[int, int] = {}
    for token, push in pushes.items():
        tokens.setdefault(push, token)
    return tokens


@lru_cache(maxsize=4_096)
def _array(tokens: tuple[int, ...]) -> NDArray[np.int64]:
    return np.array(tokens, np.int64)
