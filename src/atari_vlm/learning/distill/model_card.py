"""The model card: a README.md beside the weights, from the data of the run."""

from __future__ import annotations

from collections.abc import Mapping

from atari_vlm.files.writing import write_whole
from atari_vlm.learning.distill.answer_schemas.base import clauses
from atari_vlm.learning.distill.answer_schemas.table import get_answer_schema
from atari_vlm.learning.distill.collect import FIRST_EVALUATION_SEED
from atari_vlm.learning.distill.settings import DistillResult, DistillSettings
from atari_vlm.prompts.embedded import ACT, LOOK, SEE
from atari_vlm.stats import mean_interval

_CARD = """---
library_name: transformers
pipeline_tag: image-text-to-text
license: mit
---

# The embedded model of Atari VLM

A vision-language model of {parameters:.1f} million parameters (Idefics3 architecture, trained from
{base}) that plays {games}. It knows these games and three requests,
and nothing else.

The input is one 160 x 160 image of two screens (`atari_vlm.atari.images.motion`): red is the
current screen in grey, green the screen of the last decision, blue the changes between them.

| request | answer |
|---|---|
{answers}

Numbers are pixels of the 160 x 210 screen, and pixels since the last decision (4 frames ago).

## Scores
Full episodes, raw score, sticky actions 0.25, one decision every 4 frames, onnxruntime on one
core; seeds from {fresh} on, which training never uses; 95% interval of the
mean, if there are enough episodes for one.

{scores}

In play, a plan along the game's axis is drawn between the two whole numbers around the average of
the plans, with the seed of the call; all other words are the likeliest. `generate` with
`do_sample=False` gives the same words with the likeliest plan.

Accuracy on held-out decisions (numbers within 3 pixels, plans exactly): {held_out}.
It says little about play; the scores above count.

## Data and training
Labels: the scripted expert `atari_vlm.policies.experts` of each game. It reads only the memory now
and one decision ago, so that every label can be computed from the image.
{first}; then, every {round_minutes:g} minutes, the student
played and the expert labelled (DAgger), {decisions} decisions in all.

    {command}

{steps} steps of {batch} decisions in {trained:.0f} minutes. The first
{opening:.0%} trained the vision encoder through linear heads, the rest whole answers, token by
token.

## Limits
- It plays no other game, and it decides every 4 frames.
- It was trained on the default mode and difficulty and on clean screens. A blank or damaged image
  gets a confident wrong answer.
- It does not converse, does not follow other requests, and cannot read lessons or examples.
- It copies its expert, with the expert's errors.
"""


def write_model_card(
    settings: DistillSettings,
    result: DistillResult,
    decisions: int,
    parameters: int,
    examples: Mapping[str, str],
) -> None:
    """Write README.md into the folder of the weights.

    Args:
        settings: of the run.
        result: of the run; it has the folder.
        decisions: number of training decisions.
        parameters: number of the student's parameters.
        examples: game -> an answer of its expert.
    """
    card = _CARD.format(
        parameters=parameters / 1e6,
        games=", ".join(settings.games),
        answers="\n".join(answer_rows(game, answer) for game, answer in examples.items()),
        fresh=f"{FIRST_EVALUATION_SEED:,}",
        scores=_scores(result),
        held_out=", ".join(f"{name} {share:.2f}" for name, share in result.held_out.items()),
        round_minutes=settings.round_minutes,
        decisions=f"{decisions:,}",
        base=f"the weights in `{settings.base}`" if settings.base else "random weights",
        first=f"It began with what `{settings.data}` held"
        if settings.data
        else "The expert played first, disturbed by random bursts",
        command=settings.command(),
        steps=f"{result.steps:,}",
        batch=settings.batch,
        trained=result.minutes,
        opening=settings.opening,
    )
    write_whole(result.folder / "README.md", card)


def answer_rows(game: str, answer: str) -> str:
    """Rows of a table: the three requests about a game, and what is answered to them."""
    name = get_answer_schema(game).objects[0]
    clause = next((c for c in clauses(answer) if name in c.split()), f"no {name}")
    rows = (
        (SEE.format(game=game), answer),
        (ACT.format(game=game), answer.rpartition(": ")[2]),
        (LOOK.format(game=game, thing=name), clause),
    )
    return "\n".join(f"| {request} | {reply} |" for request, reply in rows)


def _scores(result: DistillResult) -> str:
    if not result.scores:
        return "Not evaluated."
    lines = ["| game | mean (95% interval) | episodes |", "|---|---|---|"]
    for game, scores in result.scores.items():
        interval = mean_interval(scores)
        each = ", ".join(f"{score:.15g}" for score in scores)
        lines.append(f"| {game} | {interval} | {each} |")
    return "\n".join(lines)
