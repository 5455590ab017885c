"""What a run came to: its scores, with everything needed to read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from atari_vlm import stats
from atari_vlm.atari.games import Game, get_game
from atari_vlm.costs.bill import dollars_text, format_dollars
from atari_vlm.errors import AtariVLMError
from atari_vlm.policies.registry import get_policy, is_policy, parse_name
from atari_vlm.protocols import Proof, labelled, privileges_of
from atari_vlm.runs.curve import Curve
from atari_vlm.runs.reader import EpisodeRow, RunReader
from atari_vlm.runs.schema import FILE, legible
from atari_vlm.runs.thought import Thought, thought_in
from atari_vlm.runs.totals import LEARNING
from atari_vlm.runs.trials import games_ended
from atari_vlm.types import Usage


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """How much was played and asked in a run by some moment."""

    decisions: int = 0
    games: int = 0
    """Games in which lessons were tried."""
    answers: int = 0


def extent(run: RunReader) -> Extent:
    """How much was played and asked in an open run until now."""
    return Extent(
        decisions=sum(run.sources().values()),
        games=games_ended(run.folder) if run.settings.get("prove_lessons") else 0,
        answers=run.usage().calls,
    )


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Summary:
    """Scores and costs of a run."""

    folder: Path
    game: Game
    model: str
    """Name of the player."""
    prompt: str
    settings: dict[str, Any]
    """Everything that decided what was played, as the run's record has it."""
    episodes: tuple[EpisodeRow, ...]
    """The finished episodes, in order."""
    sources: dict[str, int]
    """Decisions by how they were chosen; see `types.Source`."""
    usage: Usage
    seconds: float
    """Wall-clock time of this call; less than the time of play if the run was resumed."""
    played: int
    """Decisions made in this call; 0 if every episode was complete before."""
    tried: int = 0
    """Games in which lessons were tried that ended in this call."""
    asked: int = 0
    """Answers that were asked for in this call, for decisions, reviews and games."""
    taught_by: int | None = None
    """Training episodes whose lessons were shown unchanged; None if there are no such lessons."""
    privileges: tuple[str, ...] = ()
    """What the player read beyond the screen; empty for honest players."""
    refusals: int = 0
    """Answers that refused to play."""
    stuck: int = 0
    """Decisions before which the player had done the same, or seen the same, for a while
    (`stuck_after` in the settings). It need not be a mistake: holding UP is right in Freeway."""
    curve: Curve | None = None
    """Held-out scores over the episodes of training, if `train` was asked for them."""

    proofs: tuple[Proof, ...] = ()
    """Lessons that were tried in paired games, and what came of it."""
    unused_reviews: str = ""
    """A sentence about reviews that brought nothing because they could not be used; "" if none."""
    thought: Thought | None = None
    """What thinking longer came to; None if the player does not think longer."""

    def __repr__(self) -> str:
        count = len(self.episodes)
        cost = "" if not self.usage.calls else f", {self._dollars}"
        return (
            f"Summary({self.game.name}, {self.label}: {self.mean if count else 'no score'} over "
            f"{count} episode{'s' * (count != 1)}{cost}, folder={str(self.folder)!r})"
        )

    @property
    def label(self) -> str:
        """The player as it stands beside the score: "iw-1200 (uses emulator)"."""
        return labelled(self.model, self.privileges)

    @property
    def _dollars(self) -> str:
        dollars = dollars_text(self.usage) or format_dollars(0.0)
        return f"price {dollars}" if dollars == "unknown" else dollars

    @property
    def scores(self) -> tuple[float, ...]:
        """The score of each finished episode."""
        return tuple(row.score for row in self.episodes if row.score is not None)

    @property
    def cut(self) -> int:
        """Episodes that a budget ended before the game did."""
        return sum(row.cut for row in self.episodes)

    @property
    def mean(self) -> stats.Interval:
        """Mean score with its 95% interval."""
        return stats.mean_interval(self.scores)

    @property
    def human_normalised(self) -> float | None:
        """0 plays like random, 1 like the human tester.

        None if the table lacks the game, or if games were cut short by `max_decisions` or by a
        budget.
        """
        if self.settings.get("max_decisions") is not None or self.cut:
            return None
        return self.game.normalise(self.mean.value)


def summarise(
    run: RunReader,
    *,
    first: int | None = None,
    before: Extent | None = None,
    seconds: float = 0.0,
) -> Summary:
    """The summary of an open run.

    Args:
        run: to read.
        first: how many episodes count, from the first on, with what they cost; None for all.
        before: what was played earlier than this call; None for nothing.
        seconds: wall-clock time of this call.
    """
    with legible(run.folder / FILE):
        return _summary(run, first, before, seconds)


def privileges_in(settings: Mapping[str, Any]) -> tuple[str, ...]:
    """What the player of a run reads beyond the screen; computed for older runs, which lack it."""
    recorded, name = settings.get("privileges"), str(settings["model"])
    if isinstance(recorded, list):
        return tuple(recorded)
    try:
        base = parse_name(name).base
        policy = get_policy(base, str(settings["game"])) if is_policy(base) else None
    except AtariVLMError:  # a policy that this version does not know
        return ()
    return tuple(sorted(privileges_of(policy))) if policy else ()


def _summary(run: RunReader, first: int | None, before: Extent | None, seconds: float) -> Summary:
    rows = run.episodes()
    counted = [row for row in rows if first is None or row.episode < first]
    whole = len(counted) == len(rows)
    parts = None if whole else [LEARNING, *(row.episode for row in counted)]
    sources = run.sources(parts)
    taught = run.settings.get("taught_by_episodes")
    now = _since(run, before)
    return Summary(
        folder=run.folder,
        game=get_game(str(run.settings["game"])),
        model=str(run.settings["model"]),
        prompt=str(run.settings["prompt"]),
        settings=dict(run.settings),
        episodes=tuple(row for row in counted if row.status == "finished"),
        sources=sources,
        usage=run.usage(parts),
        seconds=seconds,
        played=now.decisions,
        tried=now.games,
        asked=now.answers,
        taught_by=taught if isinstance(taught, int) else None,
        privileges=privileges_in(run.settings),
        refusals=run.refusals(parts),
        stuck=sum(bool(text) for row in counted for text in run.stuck(row.episode)),
        proofs=tuple(proof for row, proof in run.proofs() if first is None or row <= first),
        unused_reviews=run.unused_reviews,
        thought=thought_in(run, [row.episode for row in counted]),
    )


def _since(run: RunReader, before: Extent | None) -> Extent:
    """What was played in this call."""
    if before is None:
        return Extent(decisions=sum(run.sources().values()))
    now = extent(run)
    return Extent(
        decisions=max(0, now.decisions - before.decisions),
        games=max(0, now.games - before.games),
        answers=max(0, now.answers - before.answers),
    )
