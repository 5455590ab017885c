"""A running summary: every few decisions the model writes down what the episode came to so far.

A prompt that listed every action would grow with the episode: ten times the tokens of the usual
eight in a game of Pong (docs/play.md). A summary stays as short as it is asked to be, and stands in
the later prompts as the model's note to itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from atari_vlm.atari.games import get_game
from atari_vlm.errors import InvalidSetting
from atari_vlm.options import check_number
from atari_vlm.policies.checking import check_inside, decision_of
from atari_vlm.policies.think.effort import (
    NO_NOTE,
    NOT,
    NOTE,
    Effort,
    WithPriorOfInside,
    noted,
    spent_by,
)
from atari_vlm.policies.think.samples import (
    MOST_SAMPLES,
    asked_beside,
    base_of,
    check_has_model,
    count_from,
)
from atari_vlm.policies.vlm import VLMPolicy
from atari_vlm.prompts.parts import LONGEST_MEMORY
from atari_vlm.protocols import Policy
from atari_vlm.types import Call, Decision, Message, Observation, Prompt, Step

WORDS = 60
"""Words that the model is asked for at most."""


@dataclass(frozen=True)
class RunningSummary(WithPriorOfInside):
    """Lets the model sum up the episode every few decisions, and carries that on as memory.

    For a summary the model is shown its last one, the steps since and the score. It stands in the
    prompts from the next decision on (`prompts.parts.last_memory`). Its call is one of the
    decision's candidates (`Decision.considered`). If it brings no answer, the old summary stays.

    >>> from atari_vlm.models.scripted import ScriptedModel
    >>> from atari_vlm.prompts.strategies import get_strategy
    >>> model = ScriptedModel(lambda prompt: "ACTION: FIRE x2")
    >>> RunningSummary(VLMPolicy(model, get_strategy("basic")), every=20).name
    'scripted+summary:20'
    """

    policy: Policy
    every: int = 20
    """Decisions between two summaries, 2 to 100."""

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        check_inside(self)
        check_number("every", self.every, 2, MOST_SAMPLES)
        base = base_of(self.policy)
        if not isinstance(base, VLMPolicy) or base.model.prompt_type == "embedded":
            raise InvalidSetting(
                f"{base.name} reads no note to itself, so +summary would only cost; leave it out, "
                "or choose a model that answers in words, such as gpt-4o or qwen-vl."
            )

    @property
    def name(self) -> str:
        """The name of the policy inside and the decisions between summaries."""
        return f"{self.policy.name}+summary:{self.every}"

    def effort(self, inside: Effort) -> Effort:
        """That of the policy inside, and one call more every few decisions."""
        share = 1 / self.every
        least, usual, most = inside.calls
        return replace(inside, calls=type(inside.calls)(least + share, usual + share, most + share))

    def due(self, history: Sequence[Step]) -> bool:
        """Whether the model is asked for a summary at this decision."""
        return bool(history) and not len(history) % self.every

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """The decision of the policy inside, with the summary of the episode before it."""
        (own,) = rng.spawn(1)  # the policy inside draws as it would without
        made = await decision_of(self.policy, observation, history, rng)
        before = history[-1].decision.memory if history else ""
        if not self.due(history):
            carried = replace(made, memory=made.memory or before)
            return carried if carried.thinking else noted(carried, history)
        call = await self._asked(observation, history, before, int(own.integers(2**63)))
        words = " ".join(call.reply.text.split())[:LONGEST_MEMORY]
        memory = words or before
        summed = Decision(
            action=made.action,
            frames=made.frames,
            reason=f"The episode so far, summed up{f'; {call.fault}' if call.fault else ''}.",
            memory=memory,
            calls=(call,),
        )
        thought = noted(made, history).thinking if made.thinking is None else made.thinking
        assert thought is not None
        spent = spent_by(call.reply.usage)
        kept = thought.why.startswith(NOT) or thought.spent.calls or thought.spent.frames
        note = NOTE if words else NO_NOTE
        return replace(
            made,
            memory=memory,
            considered=(*made.considered, summed),
            thinking=replace(
                thought,
                why=f"{thought.why}; {note}" if kept else note if words else f"{NOT} {note}",
                spent=thought.spent.plus(spent),
                total=thought.total.plus(spent),
            ),
        )

    async def _asked(
        self, observation: Observation, history: Sequence[Step], before: str, seed: int
    ) -> Call:
        """The call for a summary; one without an answer has a fault."""
        base = base_of(self.policy)
        assert isinstance(base, VLMPolicy)
        prompt = summary_prompt(observation, history[-self.every :], before)
        return await asked_beside(base, prompt, seed)


def summary_prompt(observation: Observation, since: Sequence[Step], before: str) -> Prompt:
    """The question for a summary: the last one, the steps since, and the score.

    Args:
        observation: of this decision.
        since: the steps since the last summary, oldest first.
        before: the last summary; empty if there is none.
    """
    game = get_game(observation.game)
    lives = f", with {observation.lives} lives left" if observation.lives else ""
    lines = (
        f"You are playing {game.cartridge} on the Atari 2600, and have made {observation.step} "
        f"decisions. The score is {observation.score:g}{lives}.",
        f"Your last summary: {before}" if before else "",
        f"What you have done since (points earned): {_told(since)}",
        f"Sum up this game so far in at most {WORDS} words, as a note to yourself: what happened, "
        "what worked, what did not, and what to do next. Answer with the note only.",
    )
    text = "\n".join(line for line in lines if line)
    return Prompt(messages=(Message("user", (text,)),), legal=(), longest=1)


def _told(steps: Sequence[Step]) -> str:
    """The steps in words, equal ones in a row as one, e.g. "UP x4 (+0) 6 times, FIRE x1 (+1)"."""
    told: list[str] = []
    counts: list[int] = []
    lives = None
    for step in steps:
        lost = lives is not None and step.observation.lives < lives
        lives = step.observation.lives
        words = f"{step.decision.action} x{step.decision.frames} ({step.reward:+g})"
        if lost and told:
            told[-1] += ", life lost"
        if told and told[-1] == words:
            counts[-1] += 1
        else:
            told.append(words)
            counts.append(1)
    each = (f"{t} {n} times" if n > 1 else t for t, n in zip(told, counts, strict=True))
    return ", ".join(each)


def summary(policy: Policy, game: str, every: str = "20") -> RunningSummary:
    """The wrapper +summary:20 of a player's name.

    Raises:
        InvalidSetting: it cannot be built.
    """
    check_has_model(policy, "summary")
    return RunningSummary(policy, count_from(every, "summary", "decisions", 2))
