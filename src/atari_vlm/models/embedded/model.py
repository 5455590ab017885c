"""The embedded model: a small vision-language model that ships with the package.

`atari-vlm distill` trained it on the games that its model card lists. It reads prompts of the type
"embedded" and answers in words: "ball 72 66 moving right 5 down 3, paddle 70, aim 84: LEFT for 3
frames". It runs on onnxruntime, on one core, without torch. One name stands for several
checkpoints; the game in the prompt decides which of them answers.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np

from atari_vlm.models.embedded.answers import find_game, request_of
from atari_vlm.models.embedded.checkpoints import checkpoints, players, weights
from atari_vlm.models.embedded.runtime import EmbeddedRuntime
from atari_vlm.types import Plan, Prompt, Reply, Usage

_NAME = "The embedded model"


class EmbeddedModel:
    """Answers and scores prompts of the type "embedded".

    The plan of an answer is not always the likeliest one. Plans along the game's axis are averaged
    by their probabilities, e.g. to 2.3 frames left, and the plan is drawn between the two whole
    numbers around the average with the seed of the call. Equal seeds give equal answers. All other
    words are the likeliest.

    Args:
        folder: a checkpoint from `atari-vlm distill --out FOLDER`, or a folder of several; None for
            the shipped ones.
        draw: False takes the likeliest plan; the answer is then word for word that of `generate` in
            transformers.

    Raises:
        ModelUnusable: the weights are missing or damaged.
    """

    prompt_type = "embedded"

    def __init__(self, folder: Path | str | None = None, *, draw: bool = True) -> None:
        paths = checkpoints(weights() if folder is None else Path(folder))
        runtimes = {path: EmbeddedRuntime(path) for path in paths}
        chosen = players({path: runtime.games for path, runtime in runtimes.items()})
        self._runtimes = {game: runtimes[path] for game, path in chosen.items()}
        self._draw = draw

    @property
    def name(self) -> str:
        """The name of the model in the catalogue."""
        return "embedded"

    @property
    def version(self) -> str:
        """Digests of all checkpoints; a run never continues with other weights."""
        return "-".join(sorted({runtime.digest for runtime in self._runtimes.values()}))

    def version_for(self, game: str) -> str:
        """Digest of the checkpoint that plays a game; other checkpoints may change beside it."""
        return self._runtimes[game].digest

    def pictures_for(self, game: str) -> dict[str, Any]:
        """The last two frames as one picture of motion."""
        return self._runtimes[game].answers.pictures

    def pool_frames_for(self, game: str) -> str:
        """How the screens were pooled that the game's checkpoint was trained on."""
        return self._runtimes[game].answers.pool_frames

    def least_tokens(self, game: str) -> int:
        """The fewest tokens that a call about a game reads and writes."""
        return self._runtimes[game].least_tokens(game)

    @property
    def games(self) -> tuple[str, ...]:
        """The games that the model can play."""
        return tuple(self._runtimes)

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        """The objects in view, and a plan.

        Raises:
            ModelUnusable: the prompt names no game of the model, has no frame, or has words that
                are not in the model's vocabulary.
        """
        start = time.perf_counter()
        runtime = self._runtime(prompt)
        request, game = runtime.answers.parse_prompt(prompt, _NAME)
        rng = np.random.default_rng(seed) if self._draw else None
        answer = runtime.answer(runtime.answers.image(prompt, _NAME), request, game, rng)
        usage = Usage(
            calls=1,
            input_tokens=answer.input_tokens,
            output_tokens=answer.output_tokens,
            seconds=time.perf_counter() - start,
        )
        return Reply(text=answer.text, model=self.name, usage=usage)

    async def score(self, prompt: Prompt) -> dict[Plan, float]:
        """Probability of every plan of the prompt's game, in one forward pass.

        The prompt's request is replaced by the request for a plan alone, whose answer is one token.

        Raises:
            ModelUnusable: as in `answer`.
        """
        runtime = self._runtime(prompt)
        _, game = runtime.answers.parse_prompt(prompt, _NAME)
        return runtime.probabilities(runtime.answers.image(prompt, _NAME), game)

    async def close(self) -> None:
        """Do nothing: the model holds no connection."""

    def _runtime(self, prompt: Prompt) -> EmbeddedRuntime:
        return self._runtimes[find_game(self.games, request_of(prompt), _NAME)]
