"""The embedded model: a small vision-language model that ships with the package.

It is a specialist. It was trained by `atari-vlm distill` on the games its model card names, reads
the `specialist` prompt, and answers in words: "ball 72 66 moving right 5 down 3, paddle 70,
aim 84: LEFT for 3 frames". It runs on onnxruntime, on one core, without torch. Behind the one name
stands a family of checkpoints of the same make; the game in the prompt says which one answers.
"""

from __future__ import annotations

import json
import time
from importlib.resources import files
from pathlib import Path

import numpy as np

from atari_vlm.errors import ModelUnusable
from atari_vlm.models.embedded.answers import named, words_of
from atari_vlm.models.embedded.runtime import Specialist
from atari_vlm.types import Prompt, Reply, Usage

_NAME = "The embedded model"


class EmbeddedModel:
    """Answers and scores specialist prompts.

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

    prompt_type = "specialist"

    def __init__(self, folder: Path | str | None = None, *, draw: bool = True) -> None:
        self._members: dict[str, Specialist] = {}
        for place in members(weights() if folder is None else Path(folder)):
            member = Specialist(place)
            self._members.update(dict.fromkeys(member.games, member))
        self._draw = draw

    @property
    def name(self) -> str:
        """The name it is asked for by."""
        return "embedded"

    @property
    def version(self) -> str:
        """Digests of all weights: other weights are another player, and never continue its runs."""
        return "-".join(sorted({member.digest for member in self._members.values()}))

    def version_for(self, game: str) -> str:
        """Digest of the weights that play a game; the rest of the family may change beside them."""
        return self._members[game].digest

    @property
    def games(self) -> tuple[str, ...]:
        """The games it can play."""
        return tuple(self._members)

    async def answer(self, prompt: Prompt, *, seed: int) -> Reply:
        """What it sees, and a plan.

        Raises:
            ModelUnusable: the prompt names no game it can play, has no frame, or uses words it
                was never taught.
        """
        start = time.perf_counter()
        member = self._member(prompt)
        request, game = member.answers.asked(prompt, _NAME)
        rng = np.random.default_rng(seed) if self._draw else None
        answer = member.answer(member.answers.picture(prompt, _NAME), request, game, rng)
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
        member = self._member(prompt)
        _, game = member.answers.asked(prompt, _NAME)
        return member.probabilities(member.answers.picture(prompt, _NAME), game)

    async def close(self) -> None:
        """Nothing to release."""

    def _member(self, prompt: Prompt) -> Specialist:
        """Whoever of the family plays the game a prompt names."""
        return self._members[named(self.games, words_of(prompt), _NAME)]


def members(folder: Path) -> list[Path]:
    """The folders of the checkpoints in a folder: itself, or those in it that hold one."""
    if (folder / "config.json").exists():
        return [folder]
    inside = sorted(path.parent for path in folder.glob("*/config.json"))
    # While it trains, `distill --out` keeps its student in a folder beside the finished weights.
    return [path for path in inside if path.name == "weights"] or inside or [folder]


def checkpoint(game: str, folder: Path | None = None) -> Path:
    """The folder of the checkpoint that plays a game, of the shipped ones or those in `folder`.

    Raises:
        ModelUnusable: none of them plays it.
    """
    places = members(folder or weights())
    for place in places:
        if game in json.loads((place / "answers.json").read_text())["games"]:
            return place
    raise ModelUnusable(f"No checkpoint in {folder or weights()} plays {game}.")


def weights() -> Path:
    """Folder of the shipped weights: transformers format, ONNX and the model card."""
    return Path(str(files("atari_vlm"))) / "weights" / "embedded"
