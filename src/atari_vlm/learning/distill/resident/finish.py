"""The end of a training: the last choice, the weights, and the table of whole games."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from atari_vlm.atari.games import get_game
from atari_vlm.learning.distill.collect import FIRST_EVALUATION_SEED
from atari_vlm.learning.distill.resident.groups import counted, group_name
from atari_vlm.learning.distill.resident.selection import Choice
from atari_vlm.learning.distill.resident.spool import GameOrder, Work
from atari_vlm.learning.distill.resident.training import Training
from atari_vlm.learning.distill.run import drafted_folder
from atari_vlm.learning.distill.settings import Report
from atari_vlm.stats import mean_interval

FINALISTS = 3
"""Snapshots of a group that play more games at the end."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResidentResult:
    """Result of a training."""

    folder: Path
    """Folder of the checkpoints, one for each group."""
    steps: int
    minutes: float
    """Minutes of training, over all continuations."""
    decisions: int
    """Rows that all steps together took."""
    speed: float
    """Decisions a second in the last report."""
    rows: Mapping[str, int]
    """"expert" or "student" -> rows they played."""
    choices: tuple[Choice, ...]
    scores: Mapping[str, tuple[float, ...]]
    """Game -> scores of the final episodes."""


def choose(training: Training, report: Report) -> tuple[Choice, ...]:
    """Let the best snapshots of each group play more games, and choose."""
    settings, selection = training.settings, training.selection
    newest = max(selection.candidates.values(), key=lambda each: each.version, default=None)
    if newest is None or newest.minutes < training.seconds / 60:
        training.publish(candidate=True)
        training.save()
    training.writer.wait()
    training.spool.tell(Work(rows=False))
    wanted = settings.tuning_games
    if wanted:
        report("Players stop collecting; snapshots play the games that choose.")
        finish_games(training, report)
        _need_candidate(training, report)
        for number, group in enumerate(training.groups):
            last = max(selection.candidates)
            finalists = [each.version for each in selection.ranked(number)[:FINALISTS]]
            for version in dict.fromkeys([last, *finalists]):
                training.order_games(version, group, range(2 * wanted))
        finish_games(training, report)
    _need_candidate(training, report)
    training.save()
    training.writer.wait()
    choices = tuple(selection.best(number) for number in range(len(training.groups)))
    for choice in choices:
        report(choice.line())
    return choices


def _need_candidate(training: Training, report: Report) -> None:
    """Drop damaged snapshots; if no candidate is left, the newest weights become one."""
    training.drop_damaged()
    if not training.selection.candidates:
        training.publish(candidate=True)
        training.writer.wait()
        finish_games(training, report)


def finish_games(training: Training, report: Report) -> None:
    """Wait until every game that was asked for has been played."""
    said = time.monotonic()
    while left := training.spool.unfinished:
        training.players.look()
        if time.monotonic() - said > 3 * training.settings.report_seconds:
            said = time.monotonic()
            report(f"{counted(left, 'game')} still to be played.")
        time.sleep(0.01)
        training.take_games()
    training.take_games()


def write_weights(training: Training, choices: Sequence[Choice]) -> Path:
    """Copy the chosen snapshots into `weights`, all groups at once."""
    folder = training.settings.out / "weights"
    with drafted_folder(folder) as draft:
        for choice in choices:
            name = group_name(choice.group)
            shutil.copytree(training.snapshots.folder_of(choice.version) / name, draft / name)
    return folder


def evaluate(training: Training, folder: Path, report: Report) -> dict[str, tuple[float, ...]]:
    """Play whole games of the final weights on all cores; game -> scores."""
    settings, spool = training.settings, training.spool
    orders = [
        GameOrder(str(folder / group_name(group)), game, seed, settings.episode_frames, version=-1)
        for seed in range(FIRST_EVALUATION_SEED, FIRST_EVALUATION_SEED + settings.episodes)
        for group in training.groups
        for game in group
    ]
    if orders:
        report(f"The final weights play {counted(len(orders), 'whole game')}.")
    spool.order(orders)
    found: dict[tuple[str, int], float] = {}
    while len(found) < len(orders):
        training.players.look()
        left = spool.unfinished
        for each in training.take_games():
            if each.order.version >= 0:
                continue
            found[each.order.game, each.order.seed] = each.score
            report(f"{each.order.game}, seed {each.order.seed}: {each.score:.15g}")
        if not left:  # what is missing was damaged on its way
            spool.order(each for each in orders if (each.game, each.seed) not in found)
        time.sleep(0.01)
    return {
        game: tuple(found[game, seed] for name, seed in sorted(found) if name == game)
        for group in training.groups
        for game in group
        if settings.episodes
    }


def score_table(scores: Mapping[str, Iterable[float]]) -> list[str]:
    """Rows of a table: game, mean with its interval, human-normalised mean, episodes."""
    lines = ["| game | mean (95% interval) | human-normalised | episodes |", "|---|---|---|---|"]
    normalised = []
    for game, values in scores.items():
        each = tuple(values)
        share = get_game(game).normalise(float(np.mean(each)))
        normalised += [share] if share is not None else []
        shown = "" if share is None else f"{share:.2f}"
        listed = ", ".join(f"{score:.15g}" for score in each)
        lines.append(f"| {game} | {mean_interval(each)} | {shown} | {listed} |")
    if normalised:
        lines.append("")
        lines.append(
            f"Median human-normalised score of {counted(len(normalised), 'game')}: "
            f"{float(np.median(normalised)):.2f}."
        )
    return lines
