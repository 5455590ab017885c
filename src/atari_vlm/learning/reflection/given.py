"""Lessons in words that another run came to, shown from the first episode on.

It is a stranger's file: it is read with the limits of `runs.reader`, and its words are cleaned as
those of a model are.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from atari_vlm.errors import AtariVLMError, InvalidSetting, setting
from atari_vlm.learning.progress import progress
from atari_vlm.learning.reflection.listing import shown_now
from atari_vlm.learning.reflection.words import SHORTEST, cleaned, illegal_actions
from atari_vlm.protocols import Study
from atari_vlm.replies.likeness import without_copies
from atari_vlm.runs.run import Run
from atari_vlm.runs.settings import completed
from atari_vlm.types import Lessons, Trajectory


@dataclass(frozen=True)
class LessonRun:
    """The lessons of another run."""

    words: tuple[str, ...]
    identity: str
    """For the settings of a run that shows them: how many, of whom, and which."""
    left_out: str = field(default="", compare=False)
    """What is not shown as it stands in the other run, in a sentence; empty if all is."""

    def added_to(self, advice: Sequence[str], forbidden: Sequence[str]) -> tuple[str, ...]:
        """They, but for the forbidden ones, before what a person has added already."""
        return tuple(w for w in self.words if w not in (*advice, *forbidden)) + tuple(advice)


@dataclass(frozen=True)
class GivenLessons:
    """Shows the lessons of another run as they are, with what a person changes of them."""

    source: LessonRun
    name: str = "lessons"

    @property
    def record(self) -> dict[str, Any]:
        """What it adds to the settings of a run."""
        return {"lessons_from": self.source.identity}

    @property
    def reviews(self) -> bool:
        """Evaluations show what the training run has; see `protocols.Reviews`."""
        return True

    async def learn(self, trajectories: Sequence[Trajectory], study: Study) -> Lessons:
        """The lessons, the same after every episode."""
        advice = study.before.advice
        if not trajectories:
            advice = self.source.added_to(advice, study.forbidden)
        return replace(progress(trajectories), advice=advice)


LONGEST = 1000
"""Characters of a lesson that are shown if no review asks for less."""

MOST = 64
"""Lessons that are shown if no review asks for fewer."""


def lesson_run(
    folder: str | Path, game: str, legal: Sequence[str], longest: int = LONGEST, most: int = MOST
) -> LessonRun:
    """The lessons that a recorded run would show next, if a player can be shown them.

    Args:
        folder: of the run.
        game: that is to be played.
        legal: the player's action names; lessons that name others are left out.
        longest: characters of a lesson.
        most: lessons; of more, the last ones.

    Raises:
        InvalidSetting: there is no run, or it is of another game or has no lessons.
        StoreError: it is damaged.
    """
    path, name = Path(folder), setting("lessons_from")
    if not Run.exists(path):
        raise InvalidSetting(
            f"{name} names the folder of a recorded run, and {path} holds none: there is no "
            "run.sqlite in it."
        )
    with closing(Run.read(path)) as run:
        played, player = str(run.settings["game"]), str(run.settings["model"])
        if played != game:
            raise InvalidSetting(
                f"{name}: the lessons of {path} are about {played}, and not about {game}; give a "
                f"run of {game}."
            )
        if run.settings.get("lessons"):
            raise InvalidSetting(
                f"{name}: the run in {path} was shown shuffled lessons, as a control; give the "
                "training run that it belongs to."
            )
        known = shown_now(run)
        reflected, unused = bool(completed(run.settings)["reflect"]), run.unused_reviews
    clean = [*without_copies(cleaned(words, longest) for words in known)]
    legible = [w for w in clean if len(w) >= SHORTEST and not illegal_actions(w, legal)]
    usable = legible[-most:]
    if not usable:
        have = f"{name}: the run in {path} has no lessons in words for this player"
        if reflected:
            raise InvalidSetting(
                f"{have}, though it was trained with {setting('reflect', True)}. {unused}".strip()
                + f" `atari-vlm lessons {path}` says more."
            )
        raise InvalidSetting(f"{have}; give one that was trained with {setting('reflect', True)}.")
    changed = _changed(known, clean, usable, legal)
    left_out = str(AtariVLMError(f"{name}: of the lessons of {path}, {changed}" if changed else ""))
    digest = hashlib.sha256(json.dumps([game, usable]).encode()).hexdigest()[:8]
    count = f"{len(usable)} lesson{'s' * (len(usable) > 1)}"
    identity = f"{count} of {cleaned(player, 60) or 'a player'} ({digest})"
    return LessonRun(tuple(usable), identity, left_out)


def _changed(
    known: Sequence[str], clean: Sequence[str], usable: Sequence[str], legal: Sequence[str]
) -> str:
    """What is not shown as it stands in the other run; "" if all is."""
    foreign = sorted({action for words in clean for action in illegal_actions(words, legal)})
    naming = sum(bool(illegal_actions(words, legal)) for words in clean)
    cut = sum(words.endswith("\u2026") and words not in known for words in usable)
    earlier = len(clean) - naming - len(usable)
    told = [f"{naming} left out, since {', '.join(foreign)} is no action here"] * bool(naming)
    told += [f"the first {earlier} left out; a higher {setting('max_lessons')} shows more"] * (
        earlier > 0
    )
    told += [f"{cut} cut; a higher {setting('lesson_length')} shows all of it"] * bool(cut)
    return "; ".join(told) + "." * bool(told)
