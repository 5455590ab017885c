"""The runs whose examples or lessons a player is shown, as the run that goes on recorded them.

A run goes on with what it was begun with, though its source was played on, edited, moved or
deleted since. A new run shows what the source has now.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeAlias, TypeVar

from atari_vlm.errors import InvalidSetting, StoreError
from atari_vlm.learning.example_runs import ExampleRun, as_it_was, example_run
from atari_vlm.learning.reflection.given import LessonRun, lesson_run
from atari_vlm.runs.playback import pictures
from atari_vlm.runs.run import Run
from atari_vlm.runs.settings import completed
from atari_vlm.runs.source_runs import is_source
from atari_vlm.types import Lessons

Found = TypeVar("Found")
Fault: TypeAlias = InvalidSetting | StoreError


def example_source(
    asked: str | Path,
    folder: Path | None,
    game: str,
    legal: Sequence[str],
    *,
    own: bool,
    alone: bool,
) -> ExampleRun:
    """The run whose moments are shown: as it is now, or as the run that goes on was begun with it.

    A warning says that it has changed, or that a new run is shown nothing of it.

    Args:
        asked: its folder.
        folder: of the run to be played; None if it is named after its settings.
        game: that is to be played.
        legal: the player's action names.
        own: whether the player's own moments are shown too.
        alone: whether a player without its moments would be shown nothing.

    Raises:
        InvalidSetting, StoreError: it cannot be shown, see `example_run`; a new run would be shown
            nothing of it, and nothing else; or the run that goes on would choose among moments
            that are no longer there.
    """
    begun = _begun(asked, folder, game, "examples_from")
    now = _found(partial(example_run, asked, game, legal))
    if begun is None:
        found = _usable(now)
        found.check_shows(alone=alone)
        return found
    if _is(now, begun):
        return _usable(now)
    earlier = _found(partial(as_it_was, asked, begun.identity)) if begun.there else None
    if isinstance(earlier, ExampleRun):
        begun.tell()
        return earlier
    if not begun.goes_on:
        return _usable(now)
    if own or begun.own:
        raise InvalidSetting(
            f"{begun.changed}, which chooses among its moments and the player's own before each "
            f"episode, and was begun with {begun.identity}. Put that run back as it was, or name "
            "another folder for a new run."
        )
    begun.tell()
    player = begun.identity.partition(" of ")[2].rpartition(" (")[0]
    return ExampleRun(
        Path(asked), player, (), "", recorded=begun.identity, shown=begun.shown.examples
    )


def lesson_source(
    asked: str | Path, folder: Path | None, game: str, legal: Sequence[str], *limits: int
) -> LessonRun:
    """The lessons that are shown: as they are now, or as the run that goes on was begun with them.

    A warning says that they have changed, or what of them is not shown.

    Args:
        asked: the folder of their run.
        folder: of the run to be played; None if it is named after its settings.
        game: that is to be played.
        legal: the player's action names.
        limits: of `lesson_run`, if there are any.

    Raises:
        InvalidSetting, StoreError: they cannot be shown; see `lesson_run`.
    """
    begun = _begun(asked, folder, game, "lessons_from")
    now = _found(partial(lesson_run, asked, game, legal, *limits))
    if begun is not None and not _is(now, begun) and begun.goes_on:
        begun.tell()
        return LessonRun(begun.shown.advice, begun.identity)
    found = _usable(now)
    if found.left_out:
        warnings.warn(found.left_out, stacklevel=2)
    return found


@dataclass(frozen=True, kw_only=True)
class _Begun:
    """What the run that goes on recorded of a source."""

    folder: Path
    """Of the run that goes on."""
    asked: Path
    """The folder that is named for the source."""
    there: bool
    """Whether there is a run in it."""
    same: bool | None
    """Whether the source was in it when the run was begun; None if the record does not say."""
    identity: str
    own: bool
    """Whether it shows moments of its own play too."""
    first: Lessons | None
    """What it was shown first; None if nothing was shown yet."""

    @property
    def goes_on(self) -> bool:
        """Whether the run goes on with what it recorded: not with another source."""
        same = not self.there if self.same is None else self.same
        return same and self.first is not None

    @property
    def shown(self) -> Lessons:
        """What it was shown first."""
        return self.first or Lessons()

    @property
    def changed(self) -> str:
        """What became of the source, as a sentence without its full stop."""
        became = "has changed" if self.there else "was moved or deleted"
        return f"The run in {self.asked} {became} since {self.folder} was begun"

    def tell(self) -> None:
        """Say that the run goes on as it was begun."""
        new = f"; a new run in another folder is shown what {self.asked} has now" * self.there
        warnings.warn(
            f"{self.changed}. {self.folder} goes on with what it was begun with, "
            f"{self.identity}{new}.",
            stacklevel=3,
        )


def _begun(asked: str | Path, folder: Path | None, game: str, name: str) -> _Begun | None:
    """What the run in a folder recorded of a source; None if it recorded none, or is no such run.

    Args:
        asked: the folder that is named for the source.
        folder: of the run.
        game: that is to be played.
        name: of the setting that names the source.
    """
    if folder is None or not Run.exists(folder):
        return None
    try:
        with closing(Run.read(folder)) as run:
            identity = run.settings.get(name)
            if run.settings["game"] != game or not identity:
                return None
            return _Begun(
                folder=folder,
                asked=Path(asked),
                there=Run.exists(asked),
                same=is_source(folder, run.settings, name, asked),
                identity=str(identity),
                own=bool(completed(run.settings)["examples_of_own"]),
                first=run.lessons(0, pictures(run)),
            )
    except StoreError:  # said when the run is opened to be played
        return None


def _found(read: Callable[[], Found]) -> Found | Fault:
    """The source as it is now, or why it cannot be shown."""
    try:
        return read()
    except (InvalidSetting, StoreError) as error:
        return error


def _usable(found: Found | Fault) -> Found:
    if isinstance(found, InvalidSetting | StoreError):
        raise found
    return found


def _is(found: ExampleRun | LessonRun | Fault, begun: _Begun) -> bool:
    return not isinstance(found, InvalidSetting | StoreError) and found.identity == begun.identity
