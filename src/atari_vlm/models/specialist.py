"""The embedded model's runtime: onnxruntime and a tokenizer, one picture, one core, no torch."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from atari_vlm.errors import ModelUnusable
from atari_vlm.models.answers import Answers, softmax
from atari_vlm.types import Pixels

FILES = (
    "eyes.onnx",
    "words.onnx",
    "model.safetensors",
    "tokenizer.json",
    "answers.json",
    "config.json",
)


@dataclass(slots=True)
class Answer:
    """What was written, and what it cost."""

    text: str
    plan: tuple[str, int] | None
    """(action, frames); None where only a thing was asked for."""
    read: int
    """Tokens of the prompt, image tokens included."""
    written: int


@dataclass(slots=True)
class _Draft:
    """An answer being written: the picture, the tokens said, the ones not yet read, the memory."""

    features: NDArray[np.float32]
    logits: NDArray[np.float32]
    memory: NDArray[np.float32]
    said: list[int] = field(default_factory=list)
    unread: list[int] = field(default_factory=list)


class Specialist:
    """Reads one picture and a request, and writes an answer token by token.

    Args:
        folder: what `distill` wrote: two ONNX graphs, the weights they read, the tokenizer, the
            sentences of each game.

    Raises:
        ModelUnusable: a file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        import onnxruntime

        missing = [name for name in FILES if not (folder / name).is_file()]
        if missing:
            raise ModelUnusable(
                f"There are no weights of an embedded model in {folder}: it lacks "
                f"{', '.join(missing)}. Train your own with `atari-vlm distill --out FOLDER`, or "
                "reinstall atari-vlm if these are its own."
            )
        digest = hashlib.sha256()
        for name in FILES:
            digest.update((folder / name).read_bytes())
        self.digest = digest.hexdigest()[:12]
        """Of the files that decide what it answers."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            self.answers = Answers(folder)
            config = json.loads((folder / "config.json").read_text())
            self._eyes, self._words = (
                onnxruntime.InferenceSession(
                    str(folder / name), options, providers=["CPUExecutionProvider"]
                )
                for name in FILES[:2]
            )
            self._read_config(config)
        except ModelUnusable:
            raise
        except Exception as error:
            raise ModelUnusable(
                f"The embedded model's weights in {folder} are damaged "
                f"({type(error).__name__}). Reinstall atari-vlm, or train your own: "
                "atari-vlm distill --out FOLDER."
            ) from error

    def _read_config(self, config: dict[str, Any]) -> None:
        text = config["text_config"]
        self._memory_shape = (
            text["num_hidden_layers"],
            2,
            text["num_key_value_heads"],
            0,
            text["head_dim"],
        )

    @property
    def games(self) -> tuple[str, ...]:
        """The games it was trained on."""
        return self.answers.games

    def plan(self, picture: Pixels, game: str, rng: np.random.Generator) -> tuple[str, int]:
        """The (action, frames) of a whole answer."""
        plan = self.answer(picture, self.answers.requests["see"].format(game=game), game, rng).plan
        assert plan is not None  # every sentence about a whole screen ends in a plan
        return plan

    def answer(
        self, picture: Pixels, request: str, game: str, rng: np.random.Generator | None
    ) -> Answer:
        """Write an answer.

        Args:
            picture: from `images.motion`, (side, side, 3) uint8.
            request: the words of the prompt.
            game: the game the request names.
            rng: draws the plan around its expected push; None takes the likeliest plan.
        """
        grammar = self.answers.grammar(request, game)
        draft, read = self._read(picture, request)
        while True:
            allowed = grammar.allowed(draft.said)
            if allowed == (self.answers.end,):
                break
            if len(allowed) == 1:
                token = allowed[0]
            else:
                self._catch_up(draft)
                token = self.answers.pick(draft.logits, allowed, game, rng)
            draft.said.append(token)
            draft.unread.append(token)
        plan = self.answers.plans(game).get(draft.said[-1])
        return Answer(self.answers.decode(draft.said), plan, read, len(draft.said) + 1)

    def probabilities(self, picture: Pixels, game: str) -> dict[tuple[str, int], float]:
        """Probability of every plan of a game, in one pass."""
        draft, _ = self._read(picture, self.answers.requests["act"].format(game=game))
        plans = self.answers.plans(game)
        chances = softmax(draft.logits[list(plans)])
        return {plan: float(p) for plan, p in zip(plans.values(), chances, strict=True)}

    def _read(self, picture: Pixels, request: str) -> tuple[_Draft, int]:
        (features,) = self._eyes.run(None, {"picture": picture})
        ids = self.answers.encode(self._prompt(request, features.shape[1]))
        empty = np.zeros(self._memory_shape, np.float32)
        logits, memory = self._pass(ids, features, empty)
        return _Draft(features, logits, memory), len(ids)

    @staticmethod
    def _prompt(request: str, image_tokens: int) -> str:
        fence = "<fake_token_around_image>"
        image = f"{fence}<global-img>{'<image>' * image_tokens}{fence}"
        return f"<|im_start|>User: {image}{request}<end_of_utterance>\nAssistant: "

    def _catch_up(self, draft: _Draft) -> None:
        if draft.unread:
            draft.logits, draft.memory = self._pass(draft.unread, draft.features, draft.memory)
            draft.unread = []

    def _pass(
        self, ids: list[int], features: NDArray[np.float32], memory: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        feed = {"ids": np.array([ids], np.int64), "features": features, "past": memory}
        logits, memory = self._words.run(None, feed)
        return logits[0], memory
