"""The embedded model's runtime: onnxruntime and a tokenizer, one picture, one core, no torch."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from atari_vlm.errors import ModelUnusable
from atari_vlm.models.embedded.answers import Answers, softmax
from atari_vlm.models.embedded.checkpoints import DECODER, FILES, VISION_ENCODER, find_file
from atari_vlm.models.embedded.grammar import Walk
from atari_vlm.types import Pixels

_Heard: TypeAlias = dict[tuple[str, ...], NDArray[np.float32]]
"""Names of the values at a place of a sentence -> the last logits of its words."""


@dataclass(slots=True)
class Answer:
    """What was written, and what it cost."""

    text: str
    plan: tuple[str, int] | None
    """(action, frames); None where only a thing was asked for."""
    read: int
    """Tokens of the prompt, image tokens included."""
    written: int


class EmbeddedRuntime:
    """Reads one picture and a request, and writes the likeliest answer its grammar allows.

    Words are read in guesses, many in one pass: those after the first wrong one are guessed anew
    from what was said of their places, until none is wrong (Jacobi decoding, Santilli et al. 2023,
    arXiv:2305.10427). The answer is the one that word after word would give, in a third of the
    passes; and as the first guess is always the same, it depends on nothing but what was asked.

    Args:
        folder: what `distill` wrote: two ONNX graphs, the weights they read, the tokenizer, the
            sentences of each game.

    Raises:
        ModelUnusable: a file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        import onnxruntime

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
            digest.update(path.read_bytes())
        self.digest = digest.hexdigest()[:12]
        """Of the files that decide what it answers."""
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 4  # it raises what goes wrong, and need not print it too
        try:
            self.answers = Answers(folder)
            self._vision_encoder, self._decoder = (
                onnxruntime.InferenceSession(
                    str(paths[name]), options, providers=["CPUExecutionProvider"]
                )
                for name in (VISION_ENCODER, DECODER)
            )
            self._encode = lru_cache(maxsize=256)(self.answers.encode)
            inputs = {each.name: each.shape for each in self._decoder.get_inputs()}
        except ModelUnusable:
            raise
        except Exception as error:
            raise ModelUnusable(
                f"The embedded model's weights in {folder} are damaged "
                f"({type(error).__name__}). Reinstall atari-vlm, or train your own: "
                "atari-vlm distill --out FOLDER."
            ) from error
        if "rows" not in inputs:
            raise ModelUnusable(
                f"The graphs in {folder} are of an older version of atari-vlm. Give the `distill` "
                "command that made them again: it writes them anew from the same weights."
            )
        past = [size if isinstance(size, int) else 0 for size in inputs["past"]]
        self._nothing = np.zeros(past, np.float32)

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
        walk = self.answers.grammar(request, game).walk()
        (features,) = self._vision_encoder.run(None, {"picture": picture})
        unread = self._prompt(request, features.shape[1])
        read, memory = len(unread), self._nothing
        heard: _Heard = {}
        while walk.allowed != (self.answers.end,):
            guess, names = self._guess(walk.copy(), heard, game)
            logits, memory = self._pass([*unread, *guess], features, memory, 1 + len(guess))
            heard.update(zip(names, logits, strict=True))
            unread = []
            right = 0
            for row, guessed in zip(logits, [*guess, None], strict=True):
                token = self.answers.pick(row, walk.allowed, game, rng)
                walk.say(token)
                if token != guessed:
                    unread.append(token)
                    break
                right += 1
            memory = memory[:, :, : memory.shape[2] - len(guess) + right]
        plan = self.answers.plans(game).get(walk.said[-1])
        return Answer(self.answers.decode(walk.said), plan, read, len(walk.said) + 1)

    def _guess(
        self, walk: Walk, heard: _Heard, game: str
    ) -> tuple[list[int], list[tuple[str, ...]]]:
        """The words that may follow but for the last, and what stands at the place of each word.

        Args:
            walk: the sentence so far; it is gone through to its end.
            heard: what the model said of places when other words stood before them.
            game: the game that is played.
        """
        said, names = len(walk.said), []
        while walk.allowed != (self.answers.end,):
            names.append(walk.names)
            row = heard.get(walk.names)
            if row is None:
                walk.say(walk.middling())
            else:
                walk.say(self.answers.pick(row, walk.allowed, game, None))
        return walk.said[said:-1], names

    def probabilities(self, picture: Pixels, game: str) -> dict[tuple[str, int], float]:
        """Probability of every plan of a game, in one pass."""
        (features,) = self._vision_encoder.run(None, {"picture": picture})
        prompt = self._prompt(self.answers.requests["act"].format(game=game), features.shape[1])
        (row,), _ = self._pass(prompt, features, self._nothing, 1)
        plans = self.answers.plans(game)
        chances = softmax(row[list(plans)])
        return {plan: float(p) for plan, p in zip(plans.values(), chances, strict=True)}

    def _prompt(self, request: str, image_tokens: int) -> list[int]:
        fence = "<fake_token_around_image>"
        image = f"{fence}<global-img>{'<image>' * image_tokens}{fence}"
        return self._encode(f"<|im_start|>User: {image}{request}<end_of_utterance>\nAssistant: ")

    def _pass(
        self,
        ids: list[int],
        features: NDArray[np.float32],
        memory: NDArray[np.float32],
        last: int,
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Logits of what follows each of the last tokens, and the memory with all of them."""
        feed = {
            "ids": np.array([ids], np.int64),
            "features": features,
            "past": memory,
            "rows": np.arange(len(ids) - last, len(ids)),
        }
        logits, memory = self._decoder.run(None, feed)
        return logits, memory
