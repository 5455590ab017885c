"""Finds a run under its default name again whose examples or lessons come from a run that changed.

Such a name is made of the settings, and what the other run has is one of them. So the same command
names another folder once the other run has changed, and would begin anew.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing
from pathlib import Path
from typing import TypeAlias

from atari_vlm.errors import AtariVLMError, InvalidSetting, StoreError
from atari_vlm.players import Options
from atari_vlm.runs.run import Run
from atari_vlm.runs.schema import FILE
from atari_vlm.runs.seeds import EPISODES
from atari_vlm.runs.settings import SOURCES
from atari_vlm.runs.source_runs import is_source
from atari_vlm.trainer.trainer import VLMTrainer

Make: TypeAlias = Callable[[str | Path | None, int], VLMTrainer]
"""(run folder, seed) -> the trainer of a command."""


def continued(
    make: Make, options: Options, seed: int | None, ended: Callable[[VLMTrainer], bool]
) -> VLMTrainer:
    """The trainer of a command; of a run that it began and did not end, if there is one.

    Args:
        make: makes it.
        options: of the command: where its runs lie, and whose examples and lessons they show.
        seed: of its run; None for any.
        ended: whether nothing of a trainer's run is left to play.

    Raises:
        AtariVLMError: the player cannot be built, and no such run was begun.
    """
    asked = {name: path for name in SOURCES if (path := getattr(options, name)) is not None}
    if options.run_folder is not None or not asked:
        return make(options.run_folder, seed or 0)
    made: VLMTrainer | AtariVLMError
    try:
        made = make(None, seed or 0)
        if Run.exists(made.folder("train", made.seed * EPISODES)):
            return made
    except (InvalidSetting, StoreError) as error:  # the other run is gone, perhaps
        made = error
    for folder, its_seed in _begun(Path(options.save_dir), asked):
        if seed not in (None, its_seed):
            continue
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            try:
                found = make(folder, its_seed).by_default_name()
            except AtariVLMError:
                continue
        if found.folder("train", its_seed * EPISODES) == folder and not ended(found):
            for each in said:
                warnings.warn(each.message, stacklevel=2)
            return found
    if isinstance(made, AtariVLMError):
        raise made
    return made


def _begun(place: Path, asked: Mapping[str, str | Path]) -> Iterator[tuple[Path, int]]:
    """(folder, seed) of the runs in a folder that show these other runs, the newest first."""
    files = [file for file in place.glob(f"*-train-*/{FILE}") if file.is_file()]
    for file in sorted(files, key=lambda file: file.stat().st_mtime, reverse=True):
        folder = file.parent
        try:
            with closing(Run.read(folder)) as run:
                settings = run.settings
        except StoreError:
            continue
        first = settings.get("first_seed")
        if isinstance(first, int) and all(
            is_source(folder, settings, name, path) for name, path in asked.items()
        ):
            yield folder, first // EPISODES
