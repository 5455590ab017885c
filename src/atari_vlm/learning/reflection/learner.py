"""Reflection: a learner whose model reviews each episode and writes lessons for the next ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from atari_vlm.atari.games import get_game
from atari_vlm.errors import ModelFault, ModelUnusable, setting
from atari_vlm.learning.progress import progress
from atari_vlm.learning.reflection.given import LessonRun
from atari_vlm.learning.reflection.merging import merged
from atari_vlm.learning.reflection.moments import key_moments
from atari_vlm.learning.reflection.reading import Review, read_review
from atari_vlm.learning.reflection.review import NEW, review_prompt
from atari_vlm.learning.reflection.words import SHORTEST, cleaned, illegal_actions
from atari_vlm.policies.outages import SERVER_FAULTS
from atari_vlm.prompts.strategies import repair
from atari_vlm.protocols import Study
from atari_vlm.replies.endings import ending_of
from atari_vlm.replies.likeness import alike, without_copies
from atari_vlm.runs.lesson_reader import STAY
from atari_vlm.types import Lessons, Prompt, Trajectory


@dataclass(frozen=True)
class Reflection:
    """After an episode the model reviews it, and what it learned is shown in the next ones.

    The review is one question about the rewards and lost lives of the episode with a few of its
    screens; an answer that cannot be read is repaired once. Its lessons are merged with those of
    before (`merging`). If it cannot be read, or the model refuses, the lessons of before stay and
    `Lessons.note` says so. Reflexion (Shinn et al. 2023, arXiv:2303.11366) does the same on text.
    """

    max_lessons: int = 8
    """Lessons kept."""
    lesson_length: int = 200
    """Characters of the longest lesson."""
    review_frames: int = 6
    """Screens in a review."""
    prove: bool = False
    """Keep a new lesson only if play with it is no worse in paired games."""
    image_size: tuple[int, int] | None = None
    """(width, height) that screens are scaled to; None for their own."""
    mode: int | None = None
    """ALE game mode."""
    name: str = "reflection"
    start: LessonRun | None = None
    """The lessons that are there before the first episode."""

    @property
    def record(self) -> dict[str, Any]:
        """Its settings for the record of a run: those that are not as usual."""
        usual = Reflection()
        chosen = {
            "max_lessons": self.max_lessons,
            "lesson_length": self.lesson_length,
            "review_frames": self.review_frames,
        }
        others = {name: value for name, value in chosen.items() if value != getattr(usual, name)}
        return {
            "reflect": True,
            **others,
            **({"prove_lessons": True} if self.prove else {}),
            **({"lessons_from": self.start.identity} if self.start else {}),
        }

    @property
    def reviews(self) -> bool:
        """It learns when an episode has ended; see `protocols.Reviews`."""
        return True

    async def learn(self, trajectories: Sequence[Trajectory], study: Study) -> Lessons:
        """The lessons of before, after a review of every episode since.

        Raises:
            ModelUnusable: the server gives no answer, or rejects a review; nothing is lost, and the
                next call goes on.
        """
        advice, notes = study.before.advice, []
        if self.start is not None and not trajectories:
            advice = self.start.added_to(advice, study.forbidden)
        for played in trajectories[study.before.episodes :]:
            advice, note = await self._after(played, advice, study)
            notes.append(f"Episode {played.episode}: {note}.")
        return replace(progress(trajectories), advice=advice, note=" ".join(notes)[:2000])

    async def _after(
        self, played: Trajectory, advice: tuple[str, ...], study: Study
    ) -> tuple[tuple[str, ...], str]:
        """The lessons after an episode, and how they came about."""
        review = await self._review(played, advice, study)
        if review.fault:
            return advice, f"{review.fault} {STAY}"
        legal = played.steps[0].observation.legal
        new, left_out = self._usable(review.lessons, legal, study.forbidden)
        known = [words for words in new if any(alike(words, old) for old in advice)]
        fresh = [words for words in new if words not in known]
        if self.prove and fresh and study.prove is not None:
            proofs = await study.prove(fresh)
            left_out += [proof.reason for proof in proofs if not proof.kept]
            new = known + [proof.lesson for proof in proofs if proof.kept]
        made = merged(
            advice, new, review.drop, most=self.max_lessons, written=frozenset(study.written)
        )
        told = [f"{len(made.added)} new"]
        told += [f"{len(made.again)} said again"] * bool(made.again)
        told += [f"{len(made.dropped)} no longer shown"] * bool(made.dropped)
        told += [f"{len(left_out)} left out ({'; '.join(left_out)})"] * bool(left_out)
        return made.advice, ", ".join(told)

    def _usable(
        self, lessons: Sequence[str], legal: Sequence[str], forbidden: Sequence[str]
    ) -> tuple[list[str], list[str]]:
        """Lessons that may be shown, and why others may not."""
        clean = [cleaned(words, self.lesson_length) for words in lessons]
        usable: list[str] = []
        left_out: list[str] = []
        for words in without_copies(words for words in clean if len(words) >= SHORTEST):
            if wrong := illegal_actions(words, legal):
                left_out.append(f"{', '.join(wrong)} is no action of this game")
            elif any(alike(words, other) for other in forbidden):
                left_out.append("forbidden")
            else:
                usable.append(words)
        return usable[:NEW], left_out

    async def _review(self, played: Trajectory, advice: Sequence[str], study: Study) -> Review:
        moments = key_moments(played, self.review_frames)
        prompt = review_prompt(
            get_game(played.game),
            played,
            [(label, study.frame(played.episode, step)) for step, label in moments],
            advice,
            longest=self.lesson_length,
            mode=self.mode,
            image_size=self.image_size,
        )
        review = Review()
        for _ in range(2):
            review, repaired = await self._ask(prompt, study)
            if repaired is None:
                break
            prompt = repaired
        return review

    async def _ask(self, prompt: Prompt, study: Study) -> tuple[Review, Prompt | None]:
        """What the model answers, and the prompt that could repair it, if one could."""
        assert study.model is not None
        try:
            reply = await study.model.answer(prompt, seed=int(study.rng.integers(2**62)))
        except ModelFault as fault:
            if fault.kind in SERVER_FAULTS:
                raise ModelUnusable(_outage(fault), "server") from fault
            return Review(fault=f"The review failed ({fault.kind})."), None
        except ModelUnusable as error:
            if error.what != "request":  # whatever it is asked
                raise
            raise ModelUnusable(_rejected(error)) from error
        text = "" if reply.finish == "content_filter" else reply.text
        review = read_review(text)
        if not review.fault:
            return review, None
        ending = ending_of(reply)
        reason = ending.reason or review.fault
        again = not review.refused and ending.repairable
        return replace(review, fault=reason), repair(prompt, reply.text, reason) if again else None


def _rejected(error: ModelUnusable) -> str:
    return (
        f"A review of what was played was rejected: {_sentence(error.message)} Everything played "
        f"and learned is kept; a run with a lower {setting('review_frames')} asks with fewer "
        "screens."
    )


def _sentence(text: str) -> str:
    return text if text.endswith((".", '."')) else f"{text}."


def _outage(fault: ModelFault) -> str:
    slow = f", with a longer {setting('timeout')} if it is slow" if fault.kind == "timeout" else ""
    return (
        f"The server gave no answer to a review of what was played. The reason: "
        f"{_sentence(fault.message)} Everything played and learned is kept: give the same command "
        f"to continue once it answers{slow}."
    )
