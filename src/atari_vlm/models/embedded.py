"""The embedded model: a small vision-language model that ships with the package.

It is a specialist. It was trained by `atari-vlm distill` on the games its model card names, reads
the `specialist` prompt, and answers in words: "ball 72 66 moving right 5 down 3, paddle 70,
aim 84: LEFT for 3 frames". It runs on onnxruntime, on one core, without torch.
"""

from __future__ import annotations

import time
from importlib.resources import files
from pathlib import Path

import numpy as np

from atari_vlm.errors import ModelUnusable
from atari_vlm.images import motion
from atari_vlm.models.specialist import Specialist
from atari_vlm.types import Pixels, Prompt, Reply, Usage


class EmbeddedModel:
    """Answers and scores specialist prompts.

    The plan is not the likeliest one. The model's probabilities over plans are averaged to an
    expected push, as in "2.3 frames to the left", and the plan is drawn between the two whole
    numbers around it with the call's seed: equal seeds give equal answers. Everything else in the
    answer is the likeliest word.

    Args:
        folder: weights of your own, from `atari-vlm distill --out FOLDER`; None for the shipped.
        draw: False takes the likeliest plan, word for word what `generate` in transformers says.

    Raises:
        ModelUnusable: the weights are missing or damaged.
    """

    prompt_type = "specialist"

    def __init__(self, folder: Path | str | None = None, *, draw: bool = True) -> None:
        place = weights() if folder is None else Path(folder)
        if not (place / "config.json").exists() and (place / "weights").is_dir():
            place = place / "weights"  # the folder that was given to `atari-vlm distill --out`
        self._specialist = Specialist(place)
        self._draw = draw

    @property
    def name(self) -> str:
        """The name it is asked for by."""
        return "embedded"

    @property
    def version(self) -> str:
        """Digest of the weights: other weights are another player, and never continue its runs."""
        return self._specialist.digest

    @property
    def games(self) -> tuple[str, ...]:
        """The games it can play."""
        return self._specialist.games

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        """What it sees, and a plan.

        Raises:
            ModelUnusable: the prompt names no game it can play, has no frame, or uses words it
                was never taught.
        """
        start = time.perf_counter()
        request, game = self._request(prompt)
        rng = np.random.default_rng(seed) if self._draw else None
        answer = self._specialist.answer(self._picture(prompt), request, game, rng)
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
        _, game = self._request(prompt)
        return self._specialist.probabilities(self._picture(prompt), game)

    async def close(self) -> None:
        """Nothing to release."""

    def _request(self, prompt: Prompt) -> tuple[str, str]:
        """The words of the prompt and the game they name."""
        parts = [p for m in prompt.messages if m.role == "user" for p in m.parts]
        request = " ".join(part for part in parts if isinstance(part, str)).strip()
        asked = self._specialist.requests["see"]
        words = self._specialist.words(request)
        named = [game for game in self.games if game in words]
        if not named:
            raise ModelUnusable(
                f"The embedded model plays {', '.join(self.games)}, and this prompt names none "
                "of them. Choose one of these games, or another model."
            )
        strange = self._specialist.strange(request)
        if strange:
            raise ModelUnusable(
                f"The embedded model was never taught the words {', '.join(strange[:3])!r}. Use "
                f"the prompt type 'specialist', which asks: {asked.format(game=named[0])!r}"
            )
        return request, named[0]

    def _picture(self, prompt: Prompt) -> Pixels:
        if not prompt.frames:
            raise ModelUnusable(
                "The embedded model needs a frame to look at; this prompt has none."
            )
        before, now = (*prompt.frames[-1:], *prompt.frames)[-2:]
        side = self._specialist.side
        return motion(before, now, (side, side))


def weights() -> Path:
    """Folder of the shipped weights: transformers format, ONNX and the model card."""
    return Path(str(files("atari_vlm"))) / "weights" / "embedded"
