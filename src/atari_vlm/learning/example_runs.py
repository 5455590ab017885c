"""A recorded run of anyone's whose moments become examples: a teacher's, a search's, your own.

It is a stranger's file: it is read with the limits of `runs.reader`, and its screens are drawn
again from its plans.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from atari_vlm.errors import InvalidSetting, StoreError, setting
from atari_vlm.learning.moments import Moment, moments
from atari_vlm.learning.reflection.words import cleaned
from atari_vlm.policies.registry import is_policy
from atari_vlm.runs.playback import environment, pictures, trajectories_for_learner
from atari_vlm.runs.reader import EpisodeRow
from atari_vlm.runs.replaying import replayable
from atari_vlm.runs.run import Run
from atari_vlm.runs.schema import is_locked
from atari_vlm.types import Example, Frame, Trajectory

MOST_EPISODES = 20
"""Episodes that are looked at: half of them the best ones, the others the last ones."""


@dataclass(frozen=True)
class Played:
    """Episodes to choose moments from, and what is known of them."""

    trajectories: Sequence[Trajectory]
    frame: Callable[[int, int], Frame]
    """Draws the screen of (episode, step)."""
    said: Callable[[int, int], str]
    """The model's words at (episode, step)."""
    run: str = ""
    """Whose episodes they are, for the record; empty for those of the run that shows them."""

    def screens(self, moment: Moment, number: int) -> list[Frame]:
        """The screen that a moment begins with, and the one after its last decision.

        Args:
            moment: of one of the episodes.
            number: of screens, up to 2.
        """
        return [self.frame(*place) for place in _places(moment, number)]

    def draw(self, moments: Sequence[Moment], number: int) -> None:
        """Draw the screens of moments in the order of the record: each episode is replayed once.

        Args:
            moments: of these episodes; their screens are known afterwards.
            number: of screens of each, up to 2.
        """
        for place in sorted({each for moment in moments for each in _places(moment, number)}):
            self.frame(*place)

    def source(self, moment: Moment) -> str:
        """Where a moment comes from, for the record and the page."""
        whose = f"{self.run}, " if self.run else ""
        return f"{whose}episode {moment.trajectory.episode}, decision {moment.start}"


def _places(moment: Moment, number: int) -> list[tuple[int, int]]:
    """The (episode, step) of the screens of a moment, up to 2."""
    episode, end = moment.trajectory.episode, len(moment.trajectory.steps) - 1
    return [(episode, step) for step in (moment.start, min(moment.last + 1, end))[:number]]


@dataclass(frozen=True)
class ExampleRun:
    """A run whose finished episodes are shown as examples."""

    folder: Path = field(compare=False)
    player: str
    """Its player's name."""
    episodes: tuple[int, ...]
    """The finished ones that are looked at."""
    digest: str
    """Tells the episodes apart from those of another run."""
    recorded: str = ""
    """Its identity, if all that is known of it is what a run that goes on recorded."""
    shown: tuple[Example, ...] = field(default=(), compare=False)
    """The examples that this run recorded first."""

    @property
    def identity(self) -> str:
        """For the settings of a run that shows them."""
        if self.recorded:
            return self.recorded
        count = len(self.episodes)
        return f"{count} episode{'s' * (count > 1)} of {self.player} ({self.digest})"

    def check_shows(self, *, alone: bool) -> None:
        """Say that there is no moment to show, if there is none: nothing was earned or lost.

        Args:
            alone: whether the player would be shown nothing else.

        Raises:
            InvalidSetting: there is none, and nothing else.
        """
        if _has_moments(self):
            return
        count = len(self.episodes)
        episodes = f"{count} episode{'s' * (count != 1)}"
        said = (
            f"here is no example in the run in {self.folder}: in its {episodes} {self.player} "
            "earned nothing and lost nothing"
        )
        if alone:
            name, advice = setting("examples_from"), "give a run in which points were won or lost"
            raise InvalidSetting(f"{name}: t{said}; {advice}.")
        warnings.warn(f"T{said}. No example of it is shown.", stacklevel=2)

    @contextmanager
    def opened(self) -> Iterator[Played]:
        """The episodes, for as long as the block lasts.

        Raises:
            StoreError: the run is gone, damaged, or these episodes are others by now.
        """
        with closing(Run.read(self.folder)) as run:
            looked_at = [row for row in _finished(run) if row.episode in {*self.episodes}]
            if _digest(run, looked_at) != self.digest:
                raise StoreError(f"{self.folder} has changed since; give the same command again.")
            draw = pictures(run)
            yield Played(
                trajectories_for_learner(run, self.episodes),
                lambda episode, step: draw(episode, step).foreign(),
                run.said,
                f"{self.player} in {cleaned(self.folder.resolve().name, 60)}",
            )


@lru_cache(maxsize=16)
def _has_moments(source: ExampleRun) -> bool:
    with source.opened() as played:
        return any(moments(played.trajectories).values())


def example_run(folder: str | Path, game: str, legal: Sequence[str]) -> ExampleRun:
    """The run in a folder, if its moments can be shown to a player.

    Args:
        folder: of the run.
        game: that is to be played.
        legal: the player's action names.

    Raises:
        InvalidSetting: it has no finished episode, is of another game or with other actions, or is
            being played.
        StoreError: there is no run, or it is damaged.
    """
    path, name = Path(folder), setting("examples_from")
    if not Run.exists(path):
        if path.exists() or not is_policy(str(folder)):
            raise InvalidSetting(
                f"{name} names the folder of a recorded run, and {path} holds none: there is no "
                "run.sqlite in it."
            )
        raise InvalidSetting(
            f"{name} names the folder of a recorded run, and {folder} is a player. Let it play "
            f"first: atari-vlm play --game {game} --model {folder} --run {game}-{folder}; then "
            f"give {game}-{folder}."
        )
    with closing(Run.read(path)) as run:
        played = str(run.settings["game"])
        if played != game:
            raise InvalidSetting(
                f"{name}: the run in {path} is of {played}, and not of {game}; give one of {game}."
            )
        with replayable(path):
            others = sorted({*environment(run.settings).legal} - {*legal})
        if others:
            raise InvalidSetting(
                f"{name}: the run in {path} was played with actions that this player does not "
                f"have ({', '.join(others)}); give a run with the same actions, or change "
                f"{setting('full_action_space')}."
            )
        if is_locked(path):
            raise InvalidSetting(
                f"{name}: the run in {path} is being played now; wait for its end, or give another."
            )
        finished = _finished(run)
        if not finished:
            raise InvalidSetting(
                f"{name}: the run in {path} has no finished episode, so it shows nothing; give "
                "another, or finish it with the command that began it."
            )
        return _of(path, run, _looked_at(finished))


def as_it_was(folder: str | Path, identity: str) -> ExampleRun | None:
    """A run as it was before more of its episodes were played; None if it never was that.

    Args:
        folder: of the run.
        identity: of what it was, see `ExampleRun.identity`.

    Raises:
        StoreError: there is no run, or it is damaged.
    """
    path = Path(folder)
    with closing(Run.read(path)) as run:
        rows = _finished(run)
        for count in range(len(rows), 0, -1):
            earlier = _of(path, run, _looked_at(rows[:count]))
            if earlier.identity == identity:
                return earlier
    return None


def _of(path: Path, run: Run, rows: Sequence[EpisodeRow]) -> ExampleRun:
    return ExampleRun(
        folder=path,
        player=cleaned(str(run.settings["model"]), 60) or "a player",
        episodes=tuple(row.episode for row in rows),
        digest=_digest(run, rows),
    )


def _finished(run: Run) -> list[EpisodeRow]:
    """The finished episodes, in order."""
    return [row for row in run.episodes() if row.status == "finished" and row.decisions]


def _looked_at(rows: Sequence[EpisodeRow]) -> list[EpisodeRow]:
    """Those of finished episodes that are looked at, in order."""
    rows = list(rows)
    if len(rows) > MOST_EPISODES:
        last = rows[-MOST_EPISODES // 2 :]
        first = rows[: -MOST_EPISODES // 2]
        first.sort(key=lambda row: (-(row.score or 0.0), row.episode))
        rows = sorted([*first[: MOST_EPISODES - len(last)], *last], key=lambda row: row.episode)
    return rows


def _digest(run: Run, rows: Sequence[EpisodeRow]) -> str:
    """Eight digits that tell these episodes from others."""
    told = [[row.episode, row.seed, row.score, row.decisions, row.frames] for row in rows]
    text = json.dumps([run.settings["game"], run.settings["model"], told])
    return hashlib.sha256(text.encode()).hexdigest()[:8]
