"""Evaluation of the student: accuracy on held-out answers, and scores of full episodes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.atari.images import motion
from atari_vlm.learning.distill.answer_schemas.base import FRAME_SKIP
from atari_vlm.learning.distill.collect import FIRST_EVALUATION_SEED
from atari_vlm.learning.distill.settings import Report
from atari_vlm.types import Frame

if TYPE_CHECKING:
    from atari_vlm.learning.distill.data import Batch
    from atari_vlm.learning.distill.train import Trainer

TOLERANCE = 3
"""Largest error of a correct number, in pixels; other words must be exact."""


def held_out_accuracy(trainer: Trainer, batch: Batch) -> dict[str, float]:
    """Field -> share of correct values, each predicted after the true values before it."""
    import torch

    from atari_vlm.learning.distill.packed_decoder import Request, answer_logits
    from atari_vlm.learning.distill.vision_forward import image_features
    from atari_vlm.prompts.embedded import SEE

    data, batch = trainer.data[batch.game], batch.to(trainer.accelerator.device)
    tokens = torch.clamp(batch.answers, min=0)[:, :-1]
    model, image_id = trainer.averaged_model, trainer.loss_module.image_id
    with torch.inference_mode():
        features = image_features(model, batch.images)
        prompt = trainer.loss_module.prompts[SEE.format(game=batch.game)].to(tokens.device)
        every = torch.arange(len(tokens), device=tokens.device)
        request = Request(prompt, every, tokens, torch.full_like(every, tokens.shape[1]))
        logits = answer_logits(model, features, [request], image_id)
    predictions = logits.argmax(-1).view(len(tokens), -1)
    correct: dict[str, list[bool]] = {}
    for row, answer in enumerate(batch.answers.tolist()):
        sentence = int(batch.sentences[row])
        for name, field_tokens, positions in data.fields:
            if sentence in positions:
                position = positions[sentence]
                tolerance = TOLERANCE if answer[position] in data.numbers else 0
                predicted = int(predictions[row, position])
                hit = predicted in field_tokens and abs(predicted - answer[position]) <= tolerance
                correct.setdefault(name, []).append(hit)
    names = dict.fromkeys(name for name, _, _ in data.fields)  # in the same order at any time
    return {name: float(np.mean(correct[name])) for name in names if name in correct}


def play_episodes(
    folder: Path,
    game: str,
    episodes: int,
    *,
    report: Report | None = None,
    first_seed: int = FIRST_EVALUATION_SEED,
    most_frames: int = 108_000,
) -> tuple[float, ...]:
    """Scores of full episodes with sticky actions 0.25 and a decision every 4 frames.

    Args:
        folder: a checkpoint with its ONNX graphs.
        game: catalogue name of a game of the checkpoint.
        episodes: number of episodes.
        report: takes one line an episode.
        first_seed: emulator seed of the first episode; the others follow.
        most_frames: limit of an episode, in emulator frames.
    """
    from atari_vlm.models.embedded.runtime import EmbeddedRuntime

    student = EmbeddedRuntime(folder)
    size = (student.answers.image_size, student.answers.image_size)
    scores = []
    for seed in range(first_seed, first_seed + episodes):
        emulator = Emulator(get_game(game), max_frames=most_frames)
        emulator.reset(seed=seed)
        rng = np.random.default_rng(seed)
        standard = emulator.game.standard
        before = now = Frame(emulator.screen(), standard=standard)
        score = 0.0
        while not (emulator.terminated or emulator.truncated):
            action, frames = student.plan(motion(before, now, size), game, rng)
            score += emulator.play(emulator.legal.index(action), frames, FRAME_SKIP)
            before, now = now, Frame(emulator.screen(), standard=standard)
        scores.append(score)
        if report is not None:
            report(f"{game}, seed {seed}: {score:.15g} in {emulator.frame // FRAME_SKIP} decisions")
    return tuple(scores)
