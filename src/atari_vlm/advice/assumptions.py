"""The assumptions of an estimate, in sentences."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from atari_vlm.advice.call_sizes import WORDS, CallSizes
from atari_vlm.costs.episode_lengths import EpisodeLength
from atari_vlm.errors import setting
from atari_vlm.models.catalogue import MODELS
from atari_vlm.stats import counted


def assumptions_of(
    settings: dict[str, Any],
    length: EpisodeLength | None,
    sizes: CallSizes,
    thinking: int,
    longest_answer: int,
    about_rule: str,
    with_examples: bool,
    about_effort: str = "",
) -> Iterator[str]:
    """The assumptions in sentences, with settings marked as by `errors.setting`.

    Args:
        settings: of the player.
        length: of an episode; None if it is not measured.
        sizes: of the calls.
        thinking: hidden reasoning tokens of an answer.
        longest_answer: limit on the tokens of an answer.
        about_rule: a sentence about the rule that counts pictures.
        with_examples: whether in-context learning shows examples.
        about_effort: how often a decision asks the model, if not once, and what reflection asks.
    """
    if length:
        yield (
            f"An episode of random play takes {length.mean:,} decisions of "
            f"{settings['frame_skip']} frames ({length.least:,} to {length.most:,} over "
            f"{length.episodes} episodes, measured {length.measured} by "
            "benchmarks/episode_lengths.py); a better player plays longer in most games."
        )
    if settings["max_decisions"]:
        limit = setting("max_decisions")
        yield f"Episodes end after {counted(settings['max_decisions'], 'decision')} ({limit})."
    yield about_rule + " Text is counted without a tokenizer, to within about 5%."
    form = (
        f"{WORDS} words of reasoning, the most the prompt asks for, and " if sizes.reasons else ""
    )
    yield f"An answer is {form}the plan in the form asked for: {sizes.answer:.0f} tokens."
    if thinking:
        yield (
            f"Hidden reasoning is taken to be {thinking} tokens an answer at effort low: an "
            "assumption, not a measurement. Longer reasoning soon dominates the price."
        )
    elif settings["model"] not in MODELS:
        yield "It is not known whether the model reasons; hidden reasoning is not counted."
    if (chunk_size := settings.get("decisions_per_call", 1)) > 1:
        yield (
            f"An answer plans {chunk_size} decisions; that a lost life ends a plan is not counted."
        )
    if about_effort:
        yield about_effort
    if with_examples:
        first = "first" if settings.get("examples_from") else "second"
        yield f"Examples are shown from the {first} episode on."
    yield (
        f"Worst: every game is played to its limit, every answer is {longest_answer:,} tokens long "
        f"and repaired once, and plans one decision; {setting('max_decisions')} and "
        f"{setting('max_tokens')} bound it. Retries after failures and cached input are not "
        "counted."
    )
