"""The cells of a bench: what each run in its folder came to."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

from atari_vlm import stats
from atari_vlm.atari.games import get_game
from atari_vlm.bench.settings import BEST_CONSTANT
from atari_vlm.errors import StoreError
from atari_vlm.policies.registry import ALWAYS
from atari_vlm.protocols import labelled, uses_text
from atari_vlm.runs.reader import EpisodeRow, RunReader
from atari_vlm.runs.results import summarise
from atari_vlm.runs.run import Run
from atari_vlm.runs.schema import FILE, legible
from atari_vlm.runs.seeds import EPISODES
from atari_vlm.runs.settings import completed
from atari_vlm.types import Usage

SELECTION = 900
"""Seed with which the best constant action is chosen. It is not that of the bench, or the score
would be a maximum over noise."""

Status: TypeAlias = Literal["played", "stopped", "invalid", "cannot play", "unreadable"]

_NOT_SHOWN = frozenset({"format", "game", "model", "privileges", "estimate", "purpose"}) | {
    "first_seed",
    "taught_by_episodes",
}
"""Settings in the record of a run that are not among those of a cell."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """The result of one player in one game, with one choice of settings."""

    game: str
    player: str
    scores: tuple[float, ...] = ()
    """Of the finished episodes; empty if it is invalid."""
    mean: stats.Interval | None = None
    """Mean score with its 95% interval; None without scores."""
    normalised: float | None = None
    """Human-normalised mean; None if there is no human score or episodes were cut short."""
    privileges: tuple[str, ...] = ()
    """What the player read beyond the screen."""
    fallbacks: int = 0
    refusals: int = 0
    """Answers that refused to play."""
    stuck: int = 0
    """Decisions before which a model had done, or seen, the same for a while; 0 of others."""
    decisions: int = 0
    note: str = ""
    """The action of the best constant player, or the number of episodes cut short by a budget."""
    status: Status = "played"
    """"stopped": it can be continued. "invalid": the model named no legal action, so there is no
    score. "cannot play": the player knows other games. "unreadable": the run is damaged."""
    problem: str = ""
    """Why it is not "played"."""
    marked: str = field(default="", compare=False, repr=False)
    """The same with its settings marked (see `errors.setting`), to be shown with flags; empty if
    it was read from a record."""
    folder: str = ""
    """Its run, relative to the folder of the bench; empty if it cannot play."""
    settings: dict[str, Any] = field(default_factory=dict)
    """Everything in the run's record that decides the scores, with the seed of the bench."""
    usage: Usage = field(default_factory=Usage)

    @property
    def remarks(self) -> list[str]:
        """What stands beside the player in tables: what it reads, what went wrong, the note."""
        return [
            *([uses] if (uses := uses_text(self.privileges)) else []),
            *([_count(self.fallbacks, "fallback")] if self.fallbacks else []),
            *([_count(self.refusals, "refusal")] if self.refusals else []),
            *([f"stuck {stats.times(self.stuck)}"] if self.stuck else []),
            *([self.note] if self.note else []),
        ]

    @property
    def result(self) -> str:
        """The mean score with its interval, and over how many episodes it is."""
        count = len(self.scores)
        return f"{self.mean} over {count} episode{'s' * (count != 1)}"

    def __repr__(self) -> str:
        score = self.result if self.mean else self.status
        note = f", {self.note}" if self.note else ""
        player = labelled(self.player, self.privileges)
        return f"Cell({self.game}, {player}: {score}{note}, folder={self.folder!r})"


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'s' * (number != 1)}"


def read_cells(out: Path) -> Iterator[Cell]:
    """A cell for every run in the folder of a bench, of this version or an older one."""
    for path in sorted(out.glob("*/*/run.sqlite")):
        name = path.parent.name
        chosen_with = name.startswith(ALWAYS) and f"-s{SELECTION}" in name
        if not chosen_with:
            yield read_cell(out, str(path.parent.relative_to(out)))


def read_cell(out: Path, folder: str, first: int | None = None) -> Cell:
    """The cell of one run.

    Args:
        out: folder of the bench.
        folder: of the run, relative to it.
        first: how many of its episodes count; None for all that were played.
    """
    game, _, name = folder.partition("/")
    try:
        with closing(Run.read(out / folder)) as run, legible(out / folder / FILE):
            return _cell(run, folder, first)
    except StoreError as error:
        player = name.rpartition("-s")[0] or name
        return Cell(
            game=game, player=player, status="unreadable", problem=str(error), folder=folder
        )


def _cell(run: RunReader, folder: str, first: int | None) -> Cell:
    summary = summarise(run, first=first)
    rows = [row for row in run.episodes() if first is None or row.episode < first]
    status, problem = _status(rows)
    scored = summary.scores and status != "invalid"
    model, name = summary.model, folder.partition("/")[2]
    constant = name.startswith(f"{BEST_CONSTANT}-s")
    notes = [model] if constant else []
    if summary.cut:
        notes.append(f"{summary.cut} cut short by the budget")
    game = get_game(str(run.settings["game"])).name
    return Cell(
        game=game,
        player=BEST_CONSTANT if constant else model,
        scores=summary.scores if scored else (),
        mean=summary.mean if scored else None,
        normalised=summary.human_normalised if scored else None,
        privileges=summary.privileges,
        fallbacks=summary.sources.get("fallback", 0),
        refusals=summary.refusals,
        stuck=summary.stuck if summary.usage.calls else 0,
        decisions=sum(summary.sources.values()),
        note=", ".join(notes),
        status=status,
        problem=problem,
        folder=folder,
        settings=_deciding(run.settings),
        usage=summary.usage,
    )


def _status(rows: list[EpisodeRow]) -> tuple[Status, str]:
    for row in rows:
        if row.status == "invalid":
            return "invalid", row.message
    if not rows or any(row.status == "playing" for row in rows):
        return "stopped", "not finished; the command that began it continues it"
    return "played", ""


def _deciding(recorded: dict[str, Any]) -> dict[str, Any]:
    """The settings of a cell: what the record of its run has, in today's names."""
    seed = int(recorded.get("first_seed") or 0) // EPISODES
    known = {k: v for k, v in completed(recorded).items() if k not in _NOT_SHOWN}
    return {"seed": seed, **known}
