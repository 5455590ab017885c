"""How good the student is: held-out answers, and full episodes, which are what counts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.atari.images import motion
from atari_vlm.learning.distill.collect import FRESH
from atari_vlm.learning.distill.settings import Report
from atari_vlm.learning.distill.subjects.base import FRAME_SKIP
from atari_vlm.types import Frame

if TYPE_CHECKING:
    from atari_vlm.learning.distill.data import Batch
    from atari_vlm.learning.distill.train import Trainer

CLOSE = 3
"""A number is right when it is within this many pixels; any other word only when it is the one."""


def held_out_accuracy(trainer: Trainer, batch: Batch) -> dict[str, float]:
    """Field -> share right, each value read after the true values before it."""
    import torch

    from atari_vlm.learning.distill.distillation_loss import answer_scores, image_features
    from atari_vlm.prompts.embedded import SEE

    data, batch = trainer.data[batch.game], batch.to(trainer.accelerator.device)
    said = torch.clamp(batch.answers, min=0)[:, :-1]
    with torch.inference_mode():
        features = image_features(trainer.average, batch.pixels)
        prompt = trainer.lesson.prompts[SEE.format(game=batch.game)].to(said.device)
        scores = answer_scores(trainer.average, prompt, features, said, trainer.lesson.image_id)
    best = scores.argmax(-1)
    right: dict[str, list[bool]] = {}
    for row, answer in enumerate(batch.answers.tolist()):
        shape = int(batch.shapes[row])
        for name, ids, places in data.fields:
            if shape in places:
                place = places[shape]
                near = CLOSE if answer[place] in data.numbers else 0
                guess = int(best[row, place])
                hit = guess in ids and abs(guess - answer[place]) <= near
                right.setdefault(name, []).append(hit)
    return {name: float(np.mean(hits)) for name, hits in right.items()}


def play_episodes(
    folder: Path,
    game: str,
    episodes: int,
    *,
    report: Report | None = None,
    first_seed: int = FRESH,
    most_frames: int = 108_000,
) -> tuple[float, ...]:
    """Scores of full episodes the student plays alone: sticky 0.25, a decision every 4 frames."""
    from atari_vlm.models.embedded.runtime import EmbeddedRuntime

    student = EmbeddedRuntime(folder)
    scores = []
    for seed in range(first_seed, first_seed + episodes):
        emulator = Emulator(get_game(game), max_frames=most_frames)
        emulator.reset(seed=seed)
        rng = np.random.default_rng(seed)
        standard = emulator.game.standard
        before = now = Frame(emulator.screen(), standard=standard)
        score = 0.0
        while not (emulator.terminated or emulator.truncated):
            picture = motion(before, now, (student.answers.image_size, student.answers.image_size))
            action, frames = student.plan(picture, game, rng)
            score += emulator.play(emulator.legal.index(action), frames, FRAME_SKIP)
            before, now = now, Frame(emulator.screen(), standard=standard)
        scores.append(score)
        if report is not None:
            report(f"{game}, seed {seed}: {score:g} in {emulator.frame // FRAME_SKIP} decisions")
    return tuple(scores)
