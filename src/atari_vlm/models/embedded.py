"""The embedded model: a small vision-language model that ships with the package.

It is a specialist. It was trained by `atari-vlm distill` on the games its model card names, reads
the `specialist` prompt, and answers in words: "ball 72 66 moving right 5 down 3, paddle 70,
aim 84: LEFT for 3 frames". It runs on onnxruntime, on one core, without torch. Behind the one name
stands a family of checkpoints of the same make; the game in the prompt says which one answers.
"""

from __future__ import annotations

import json
import re
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
        request, game = self._request(prompt)
        rng = np.random.default_rng(seed) if self._draw else None
        answer = self._members[game].answer(self._picture(prompt, game), request, game, rng)
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
        return self._members[game].probabilities(self._picture(prompt, game), game)

    async def close(self) -> None:
        """Nothing to release."""

    def _request(self, prompt: Prompt) -> tuple[str, str]:
        """The words of the prompt and the game they name."""
        parts = [p for m in prompt.messages if m.role == "user" for p in m.parts]
        request = " ".join(part for part in parts if isinstance(part, str)).strip()
        named = [game for game in self.games if re.search(rf"\b{game}\b", request)]
        if not named:
            raise ModelUnusable(
                f"The embedded model plays {', '.join(self.games)}, and this prompt names none "
                "of them. Choose one of these games, or another model."
            )
        member = self._members[named[0]]
        strange = member.strange(request)
        if strange:
            asked = member.requests["see"]
            raise ModelUnusable(
                f"The embedded model was never taught the words {', '.join(strange[:3])!r}. Use "
                f"the prompt type 'specialist', which asks: {asked.format(game=named[0])!r}"
            )
        return request, named[0]

    def _picture(self, prompt: Prompt, game: str) -> Pixels:
        if not prompt.frames:
            raise ModelUnusable(
                "The embedded model needs a frame to look at; this prompt has none."
            )
        before, now = (*prompt.frames[-1:], *prompt.frames)[-2:]
        side = self._members[game].side
        return motion(before, now, (side, side))


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
