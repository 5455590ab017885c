"""In-context learning: the moments of earlier episodes that mattered become examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from atari_vlm.costs.prompt_tokens import text_tokens
from atari_vlm.errors import StoreError
from atari_vlm.learning.example_runs import ExampleRun, Played
from atari_vlm.learning.moments import Moment, moments
from atari_vlm.learning.progress import progress
from atari_vlm.learning.variety import choose
from atari_vlm.learning.wording import reasoning_in, text_of
from atari_vlm.protocols import Study
from atari_vlm.types import Example, Frame, Lessons, Pixels, Trajectory

RULES = (1, 2, 3)
"""Rules that choose the moments, the newest last; a run goes on with the one it was begun with. By
rule 3, of examples in the same words and without screens one is shown."""

LEAD = 3
"""Rule 1: decisions before a reward that an example includes: the reward was earned earlier."""

MOST_TOKENS = 2_000
"""Default of the tokens of all examples in a prompt, pictures included."""

FEWEST_TOKENS = 200
"""Tokens in which one example without pictures always fits."""

COMPARED = 500
"""Moments of a kind whose words are compared if no screens are shown, the most valuable ones."""

SCREENS = 2
"""Screens of an example: when it begins, and after the last decision that it names."""


@dataclass(frozen=True)
class BestMoments:
    """Shows the moments that mattered most: before a reward, and before a lost life as a warning.

    `moments` finds and ranks them, `variety` chooses among them, `wording` says what they show.
    Examples are shown up to a number and a number of tokens: each has an equal share, and leaves
    out pictures, then the player's words, rather than exceed it.
    """

    examples: int = 3
    name: str = "in-context"
    tokens: int = MOST_TOKENS
    """Most tokens of all examples, by `costs.prompt_tokens` and `picture_tokens`."""
    pictures: bool = True
    """Whether examples have screens."""
    own: bool = True
    """Whether the player's own episodes are shown."""
    source: ExampleRun | None = None
    """A recorded run whose episodes are shown from the first episode on."""
    plans: bool = True
    """Whether the prompt asks how long to hold an action."""
    picture_tokens: int = 0
    """Tokens of one picture, by the rule of the model."""
    rule: int = RULES[-1]
    """One of `RULES`."""

    @property
    def settings(self) -> dict[str, Any]:
        """What differs from the first version, and the number."""
        return {"examples": self.examples, "name": self.name, **self.record}

    @property
    def record(self) -> dict[str, Any]:
        """What it adds to the settings of a run beside its name and number, if not the default."""
        return {
            **({"learner_version": self.rule} if self.rule != RULES[0] else {}),
            **({"example_tokens": self.tokens} if self.tokens != MOST_TOKENS else {}),
            **({} if self.pictures else {"example_pictures": False}),
            **({"examples_from": self.source.identity} if self.source else {}),
            **({"examples_of_own": self.own} if self.source else {}),
        }

    async def learn(self, trajectories: Sequence[Trajectory], study: Study) -> Lessons:
        """The best moments, gains first, each with the screen it began from and a later one."""
        if self.rule == 1:
            return replace(progress(trajectories), examples=_by_rule_1(self, trajectories, study))
        own = Played(list(trajectories) if self.own else [], study.frame, study.said)
        return replace(progress(trajectories), examples=self.beside(own))

    @property
    def at_once(self) -> tuple[Example, ...]:
        """The examples before the first episode: those of the recorded run.

        Raises:
            StoreError: that run is gone, damaged, or another one by now.
        """
        return _at_once(self)

    def beside(self, own: Played) -> tuple[Example, ...]:
        """The examples of own episodes and of the recorded run."""
        if self.source is None:
            return self._chosen(own, None)
        if self.source.recorded:
            return self.source.shown
        with self.source.opened() as others:
            return self._chosen(own, others)

    def _chosen(self, own: Played, others: Played | None) -> tuple[Example, ...]:
        home = {id(each): own for each in own.trajectories}
        if others is not None:
            home |= {id(each): others for each in others.trajectories}
        everything = [*(others.trajectories if others else ()), *own.trajectories]

        def screens(compared: Sequence[Moment]) -> list[Pixels]:
            for played in (own, others) if others else (own,):
                these = [each for each in compared if home[id(each.trajectory)] is played]
                played.draw(these, SCREENS)
            return [home[id(each.trajectory)].screens(each, 1)[0].pixels for each in compared]

        found = moments(everything)
        if self.rule > 2 and not self.pictures:
            found = {kind: self._worded_apart(each, home) for kind, each in found.items()}
        shown = choose(found, self.examples, screens)
        left = self.tokens
        examples: list[Example] = []
        for number, moment in enumerate(shown):
            made = self._fitted(moment, home[id(moment.trajectory)], left // (len(shown) - number))
            if made is not None and not (self.rule > 2 and _is_told(made[0], examples)):
                examples.append(made[0])
                left -= made[1]
        return tuple(examples)

    def _worded_apart(self, ranked: Sequence[Moment], home: Mapping[int, Played]) -> list[Moment]:
        """Of the most valuable moments of one kind, those that no better one has the words of."""
        words: dict[str, Moment] = {}
        for moment in ranked[:COMPARED]:
            played = home[id(moment.trajectory)]
            text = self._words(moment, played, _said(moment, played), 0)
            words.setdefault(text, moment)
        return list(words.values())

    def _words(self, moment: Moment, played: Played, said: str, screens: int) -> str:
        return text_of(moment, said=said, own=not played.run, plans=self.plans, pictures=screens)

    def _fitted(self, moment: Moment, played: Played, most: int) -> tuple[Example, int] | None:
        """The example with as much as fits into a number of tokens, and its tokens."""
        said = _said(moment, played)
        counts = range(SCREENS, -1, -1) if self.pictures else (0,)
        for words, count in [*((said, count) for count in counts), ("", 0)]:
            text = self._words(moment, played, words, count)
            tokens = text_tokens(f"Example 10: {text}") + count * self.picture_tokens
            if tokens <= most:
                frames = tuple(played.screens(moment, count))
                first, later = (frames[0], frames[1:]) if frames else (None, ())
                return Example(text, first, later, played.source(moment)), tokens
        return None


def _said(moment: Moment, played: Played) -> str:
    """What the player said when a moment began."""
    return reasoning_in(played.said(moment.trajectory.episode, moment.start))


def _is_told(example: Example, others: Sequence[Example]) -> bool:
    """Whether others say the same as an example without screens."""
    return example.frame is None and example.text in [other.text for other in others]


def _no_frame(episode: int, step: int) -> Frame:
    raise StoreError(f"There is no frame {step} of episode {episode} before anything is played.")


@lru_cache(maxsize=16)
def _at_once(learner: BestMoments) -> tuple[Example, ...]:
    nothing = Played([], _no_frame, lambda episode, step: "")
    return () if learner.source is None else learner.beside(nothing)


def _by_rule_1(
    learner: BestMoments, trajectories: Sequence[Trajectory], study: Study
) -> tuple[Example, ...]:
    """Moments that earned most in the best-scoring episodes; none if nothing earned a reward."""
    found = [
        (trajectory.score, step.reward, -trajectory.episode, -number, trajectory, number)
        for trajectory in trajectories
        for number, step in enumerate(trajectory.steps)
        if step.reward > 0
    ]
    found.sort(key=lambda moment: moment[:4], reverse=True)
    return tuple(
        _example_of_rule_1(trajectory, number, study)
        for *_, trajectory, number in found[: learner.examples]
    )


def _example_of_rule_1(trajectory: Trajectory, number: int, study: Study) -> Example:
    start = max(0, number - LEAD)
    steps = trajectory.steps[start : number + 1]
    plans = ", then ".join(f"{step.decision.action} x{step.decision.frames}" for step in steps)
    text = (
        f"From an earlier episode that scored {trajectory.score:g}: on this screen you played "
        f"{plans}, and earned {steps[-1].reward:+g}."
    )
    return Example(text=text, frame=study.frame(trajectory.episode, start))
