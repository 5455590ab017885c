"""The embedded model: a small vision-language model that ships with the package.

It is a specialist. It was trained by `atari-vlm distill` on the games its model card names, reads
the `embedded` prompt, and answers in words: "ball 72 66 moving right 5 down 3, paddle 70,
aim 84: LEFT for 3 frames". It runs on onnxruntime, on one core, without torch. Behind the one name
stands a family of checkpoints of the same make; the game in the prompt says which one answers.
"""

from __future__ import annotations

import time
from pathlib import Path

import numpy as np

from atari_vlm.models.embedded.answers import named, words_of
from atari_vlm.models.embedded.checkpoints import checkpoints, weights
from atari_vlm.models.embedded.runtime import EmbeddedRuntime
from atari_vlm.types import Prompt, Reply, Usage

_NAME = "The embedded model"


class EmbeddedModel:
    """Answers and scores the prompt type "embedded".

    The plan is not the likeliest one. The model's probabilities over plans are averaged to an
    expected push, as in "2.3 frames to the left", and the plan is drawn between the two whole
    numbers around it with the call's seed: equal seeds give equal answers. Everything else in the
    answer is the likeliest word.

    Args:
        folder: weights of your own, from `atari-vlm distill --out FOLDER`, or a folder of several
            such folders; None for the shipped ones.
        draw: False takes the likeliest plan, word for word what `generate` in transformers says.

    Raises:
        ModelUnusable: the weights are missing or damaged.
    """

    prompt_type = "embedded"

    def __init__(self, folder: Path | str | None = None, *, draw: bool = True) -> None:
        self._runtimes: dict[str, EmbeddedRuntime] = {}
        for path in checkpoints(weights() if folder is None else Path(folder)):
            runtime = EmbeddedRuntime(path)
            self._runtimes.update(dict.fromkeys(runtime.games, runtime))
        self._draw = draw

    @property
    def name(self) -> str:
        """The name it is asked for by."""
        return "embedded"

    @property
    def version(self) -> str:
        """Digests of all weights: other weights are another player, and never continue its runs."""
        return "-".join(sorted({runtime.digest for runtime in self._runtimes.values()}))

    def version_for(self, game: str) -> str:
        """Digest of the weights that play a game; the rest of the family may change beside them."""
        return self._runtimes[game].digest

    @property
    def games(self) -> tuple[str, ...]:
        """The games it can play."""
        return tuple(self._runtimes)

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        """What it sees, and a plan.

        Raises:
            ModelUnusable: the prompt names no game it can play, has no frame, or uses words it
                was never taught.
        """
        start = time.perf_counter()
        runtime = self._runtime(prompt)
        request, game = runtime.answers.asked(prompt, _NAME)
        rng = np.random.default_rng(seed) if self._draw else None
        answer = runtime.answer(runtime.answers.picture(prompt, _NAME), request, game, rng)
        usage = Usage(
            calls=1,
            input_tokens=answer.read,
            output_tokens=answer.written,
            seconds=time.perf_counter() - start,
        )
        return Reply(text=answer.text, model=self.name, usage=usage)

    async def score(self, prompt: Prompt) -> dict[tuple[str, int], float]:
        """Probability of every plan of the prompt's game, in one forward pass.

        The prompt's request is replaced by the one for a plan alone, which is what the model
        learned to answer with its first word.
        """
        runtime = self._runtime(prompt)
        _, game = runtime.answers.asked(prompt, _NAME)
        return runtime.probabilities(runtime.answers.picture(prompt, _NAME), game)

    async def close(self) -> None:
        """Nothing to release."""

    def _runtime(self, prompt: Prompt) -> EmbeddedRuntime:
        """Whoever of the family plays the game a prompt names."""
        return self._runtimes[named(self.games, words_of(prompt), _NAME)]
