"""The model card: written from the run itself, beside the weights."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from atari_vlm.learning.distill.collect import FRESH
from atari_vlm.learning.distill.curriculum import get_subject
from atari_vlm.learning.distill.settings import DistillResult, DistillSettings
from atari_vlm.learning.distill.subjects.base import clauses
from atari_vlm.prompts.embedded import ACT, LOOK, SEE
from atari_vlm.stats import bootstrap

_CARD = """---
library_name: transformers
pipeline_tag: image-text-to-text
license: mit
---

# The embedded model of Atari VLM

A vision-language model of {parameters:.1f} million parameters (Idefics3 architecture, begun with
{begun}) that plays {games}. It is a **specialist**: it knows the games named here, three requests,
and nothing else.

Picture: one 160 x 160 image made of two screens (`atari_vlm.atari.images.motion`): red is the
current screen in grey, green the screen of the last decision, blue what moved between them.

| request | answer |
|---|---|
{answers}

Numbers are pixels of the 160 x 210 screen, and pixels since the last decision (4 frames ago).

## Scores
Full episodes, raw score, sticky actions 0.25, one decision every 4 frames, onnxruntime on one
core; seeds from {fresh} on, which training never uses; 95% bootstrap interval of the mean.

{scores}

When it plays, the plan is drawn between the two whole numbers around its expected push (the
average over its probabilities), with the seed of the call; all other words are the likeliest.
`generate` with `do_sample=False` says the same words with the likeliest plan.

Held-out decisions answered right (numbers within 3 pixels, plans exactly): {held_out}.
Held-out accuracy says little about play; the scores above are what counts.

## Data and training
Labels: the scripted expert `atari_vlm.policies.experts` of each game, which reads RAM; it sees only
the memory now and one decision ago, so that every label can be computed from the picture.
{first}; then, every {round_minutes:g} minutes, the student
played and the expert labelled (DAgger), {decisions} decisions in all.

    {command}

{steps} steps of {batch} decisions in {trained:.0f} minutes. The first
{opening:.0%} trained the eyes through linear heads, the rest whole answers, word by word.

## Limits
- It plays no other game, and only decides every 4 frames as it was taught.
- It was taught on the default mode and difficulty, and on clean screens: a blank or damaged picture
  gets a confident wrong answer.
- It does not converse, does not follow other requests, and cannot read lessons or examples.
- It copies its expert, and loses where the expert's simple aim is wrong.
"""


def write_card(
    settings: DistillSettings,
    result: DistillResult,
    decisions: int,
    parameters: int,
    examples: Mapping[str, str],
) -> None:
    """Write README.md into the folder of the weights.

    Args:
        settings: of the run.
        result: what came out of it.
        decisions: how many were learned from.
        parameters: of the student.
        examples: game -> an answer its teacher gave.
    """
    card = _CARD.format(
        parameters=parameters / 1e6,
        games=", ".join(settings.games),
        answers="\n".join(_answers(game, said) for game, said in examples.items()),
        fresh=f"{FRESH:,}",
        scores=_scores(result),
        held_out=", ".join(f"{name} {share:.2f}" for name, share in result.held_out.items()),
        round_minutes=settings.round_minutes,
        decisions=f"{decisions:,}",
        begun=f"the weights in `{settings.base}`" if settings.base else "random weights",
        first=f"It began with what `{settings.data}` held"
        if settings.data
        else "The expert played first, disturbed by random bursts",
        command=settings.command(),
        steps=f"{result.steps:,}",
        batch=settings.batch,
        trained=result.minutes,
        opening=settings.opening,
    )
    (result.folder / "README.md").write_text(card)


def _answers(game: str, said: str) -> str:
    thing = get_subject(game).things[0]
    clause = next((c for c in clauses(said) if thing in c.split()), f"no {thing}")
    rows = (
        (SEE.format(game=game), said),
        (ACT.format(game=game), said.rpartition(": ")[2]),
        (LOOK.format(game=game, thing=thing), clause),
    )
    return "\n".join(f"| {request} | {answer} |" for request, answer in rows)


def _scores(result: DistillResult) -> str:
    if not result.scores:
        return "Not evaluated."
    lines = ["| game | mean [95%] | episodes |", "|---|---|---|"]
    for game, scores in result.scores.items():
        interval = bootstrap(scores, rng=np.random.default_rng(0))
        each = ", ".join(f"{score:g}" for score in scores)
        lines.append(f"| {game} | {interval} | {each} |")
    return "\n".join(lines)
