"""The model card of a training: a README.md beside the checkpoints, from the data of the run."""

from __future__ import annotations

from atari_vlm.files.writing import write_whole
from atari_vlm.learning.distill.collect import FIRST_EVALUATION_SEED, HELD_OUT_SEED, collect
from atari_vlm.learning.distill.model_card import answer_rows
from atari_vlm.learning.distill.resident.finish import ResidentResult, score_table
from atari_vlm.learning.distill.resident.groups import group_name
from atari_vlm.learning.distill.resident.selection import FIRST_TUNING_SEED
from atari_vlm.learning.distill.resident.settings import ResidentSettings

_CARD = """---
library_name: transformers
pipeline_tag: image-text-to-text
license: mit
---

# Embedded models of Atari VLM

{count} vision-language models of {parameters:.1f} million parameters (Idefics3 architecture,
trained from {base}). Each knows its games and three requests, and nothing else.

| folder | games |
|---|---|
{folders}

The input is one 160 x 160 image of two screens (`atari_vlm.atari.images.motion`): red is the
current screen in grey, green the screen of the last decision, blue the changes between them.

| request | answer |
|---|---|
{answers}

Numbers are pixels of the 160 x 210 screen, and pixels since the last decision (4 frames ago).

## Scores
Full episodes, raw score, sticky actions 0.25, one decision every 4 frames, onnxruntime on one
core; emulator seeds from {fresh} on, which neither training nor choice uses; 95% interval of the
mean, if there are enough episodes for one.

{scores}

## Data and training
Labels: the scripted expert `atari_vlm.policies.experts` of each game. It reads only the memory now
and one decision ago, so that every label can be computed from the image. Experts and snapshots of
the students played on all cores while it trained (DAgger); a tenth of their episodes begins at the
first screen of the game. {experts} rows are of experts and {students} of students; newer ones took
the place of older ones in memory.

    {command}

{steps} steps, {decisions} decisions in {minutes:.1f} minutes. The first {opening:.0%} trained the
vision encoder through linear heads, the rest whole answers, token by token.

## Which weights
Of each group, the averaged weights that played best, in games of at most {frames} emulator frames
on the emulator seeds from {tuning} on:

{choices}

## Limits
- They play no other game, and decide every 4 frames.
- They were trained on the default mode and difficulty and on clean screens. A blank or damaged
  image gets a confident wrong answer.
- They do not converse, do not follow other requests, and cannot read lessons or examples.
- They copy their experts, with the experts' errors.
"""


def write_card(settings: ResidentSettings, result: ResidentResult, parameters: int) -> None:
    """Write README.md into the folder of the weights.

    Args:
        settings: of the training.
        result: of the training; it has the folder.
        parameters: number of one student's parameters.
    """
    examples = {game: next(collect(game, 1, seed=HELD_OUT_SEED)).words for game in settings.games}
    card = _CARD.format(
        count=len(settings.groups),
        parameters=parameters / 1e6,
        base=f"the weights in `{settings.base}`" if settings.base else "random weights",
        folders="\n".join(f"| {group_name(g)} | {', '.join(g)} |" for g in settings.groups),
        answers="\n".join(answer_rows(game, answer) for game, answer in examples.items()),
        fresh=f"{FIRST_EVALUATION_SEED:,}",
        scores="\n".join(score_table(result.scores)) if result.scores else "Not evaluated.",
        experts=f"{result.rows['expert']:,}",
        students=f"{result.rows['student']:,}",
        command=settings.command(),
        steps=f"{result.steps:,}",
        decisions=f"{result.decisions:,}",
        minutes=result.minutes,
        opening=settings.opening,
        frames=f"{settings.tuning_frames:,}",
        tuning=f"{FIRST_TUNING_SEED:,}",
        choices="\n".join(f"- {choice.line()}." for choice in result.choices),
    )
    write_whole(result.folder / "README.md", card)
