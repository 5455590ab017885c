"""Which snapshot of each group is written at the end: the one that plays best.

Snapshots play whole games, bounded in length, on seeds of their own, while the training goes on.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from atari_vlm.atari.games import get_game
from atari_vlm.errors import StoreError
from atari_vlm.learning.distill.resident.groups import Groups, counted
from atari_vlm.learning.distill.resident.spool import GameOrder, PlayedGame

FIRST_TUNING_SEED = 450_000
"""Emulator seeds of the games that choose, from this one on. They are below those of evaluations
and of any `--seed` but 0. The training draws its seeds below 500,000, so one in some 500,000 of its
episodes has a seed of these."""

LEAST_GAMES = 2
"""Games of each game from which play chooses."""

CAP = 2.0
"""A game's mean human-normalised score counts up to this: beyond it, the luck of one game that is
played far better than by a human would choose for all games of a group."""

MOST_KEPT = 3
"""Snapshots of a group that are kept for the last choice."""

OVERFITTED = 1.05
"""Held-out loss, as a multiple of its lowest, from which a group is said to over-fit."""


@dataclass
class Candidate:
    """A snapshot that may be chosen."""

    version: int
    minutes: float
    """Of training."""
    losses: list[float]
    """Held-out loss of each group."""
    scores: dict[str, dict[int, float]] = field(default_factory=dict)
    """Game -> emulator seed -> score: whatever happens, a seed counts once."""


@dataclass(frozen=True, slots=True)
class Choice:
    """The snapshot that was chosen for a group, and why."""

    group: tuple[str, ...]
    version: int
    minutes: float
    loss: float
    score: float | None
    """Mean human-normalised score, capped; None if the held-out loss chose."""
    games: int
    """Games that it played of each game, at least."""
    of: int
    """Snapshots among which it was chosen."""

    def line(self) -> str:
        """A sentence for the report."""
        which = f"the snapshot of minute {self.minutes:.1f}, one of {self.of}"
        if self.score is None:
            return (
                f"{', '.join(self.group)}: {which}, by its held-out loss of {self.loss:.3f}, since "
                "too few games were played"
            )
        return (
            f"{', '.join(self.group)}: {which}, by {counted(self.games, 'game')} of each game: "
            f"mean human-normalised score {self.score:.2f} (up to {CAP:g} a game); held-out loss "
            f"{self.loss:.3f}"
        )


class Selection:
    """The candidates of every group, their games, and the best of them."""

    def __init__(self, groups: Groups) -> None:
        self.groups = groups
        self.candidates: dict[int, Candidate] = {}
        self.tried = 0
        """Candidates so far, with those that were dropped."""
        self.lowest: list[tuple[float, float]] = []
        """Lowest held-out loss of each group so far, and its minute."""

    def add(self, version: int, minutes: float, losses: list[float]) -> None:
        """Take a snapshot as a candidate."""
        self.candidates[version] = Candidate(version, minutes, losses)
        self.tried += 1

    def see_losses(self, minutes: float, losses: list[float]) -> list[str]:
        """Take held-out losses; returns a sentence for each group that over-fits."""
        if not self.lowest:
            self.lowest = [(loss, minutes) for loss in losses]
        said = []
        for number, (loss, group) in enumerate(zip(losses, self.groups, strict=True)):
            lowest, when = self.lowest[number]
            if loss < lowest:
                self.lowest[number] = loss, minutes
            elif loss > OVERFITTED * lowest:
                said.append(
                    f"{', '.join(group)} over-fits: held-out loss {loss:.3f}, and {lowest:.3f} at "
                    f"minute {when:.1f}. An earlier snapshot is written if it plays better."
                )
        return said

    def take(self, played: PlayedGame) -> None:
        """Take the score of a game."""
        candidate = self.candidates.get(played.order.version)
        if candidate is not None and np.isfinite(played.score):
            candidate.scores.setdefault(played.order.game, {})[played.order.seed] = played.score

    def score(self, candidate: Candidate, group: tuple[str, ...]) -> float | None:
        """Mean human-normalised score over a group's games; None if too few were played."""
        return _mean_normalised(
            [[*candidate.scores.get(game, {}).values()] for game in group], group
        )

    def ranked(self, number: int) -> list[Candidate]:
        """The candidates of a group, the best first; those that play did not rank come last."""
        group = self.groups[number]

        def key(candidate: Candidate) -> tuple[bool, float, int]:
            score = self.score(candidate, group)
            if score is None:
                return True, candidate.losses[number], -candidate.version
            return False, -score, -candidate.version

        return sorted(self.candidates.values(), key=key)

    def best(self, number: int) -> Choice:
        """The best candidate of a group.

        Raises:
            StoreError: there is none.
        """
        group = self.groups[number]
        if not self.candidates:
            raise StoreError(
                f"No snapshot of {', '.join(group)} is left that loads. The checkpoint is kept; "
                "the same command writes new ones from it."
            )
        best = self.ranked(number)[0]
        return Choice(
            group=group,
            version=best.version,
            minutes=best.minutes,
            loss=best.losses[number],
            score=self.score(best, group),
            games=min(len(best.scores.get(game, {})) for game in group),
            of=self.tried,
        )

    def worth_keeping(self) -> set[int]:
        """The versions that may still be chosen."""
        newest = sorted(self.candidates)[-MOST_KEPT:]
        best = [
            each.version
            for number in range(len(self.groups))
            for each in self.ranked(number)[:MOST_KEPT]
            if self.score(each, self.groups[number]) is not None
        ]
        lowest = [
            min(self.candidates.values(), key=lambda each: each.losses[number]).version
            for number in range(len(self.groups) if self.candidates else 0)
        ]
        return {*newest, *best, *lowest}

    def keep(self, versions: set[int]) -> None:
        """Forget the candidates of other versions."""
        self.candidates = {v: each for v, each in self.candidates.items() if v in versions}

    def state_dict(self) -> dict[str, Any]:
        """Everything, for the checkpoint."""
        candidates = [asdict(each) for each in self.candidates.values()]
        return {"candidates": candidates, "tried": self.tried, "lowest": self.lowest}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take what a checkpoint holds."""
        self.candidates = {}
        for each in state["candidates"]:
            scores = {game: dict(played.items()) for game, played in each["scores"].items()}
            self.candidates[each["version"]] = Candidate(**each | {"scores": scores})
        self.tried = int(state["tried"])
        self.lowest = [(float(loss), float(minutes)) for loss, minutes in state["lowest"]]


def game_orders(
    version: int, folder: str, group: tuple[str, ...], name: str, seeds: range, most_frames: int
) -> list[GameOrder]:
    """A game of every game for each seed, the first seed first."""
    return [
        GameOrder(
            folder=f"{folder}/{name}",
            game=game,
            seed=FIRST_TUNING_SEED + seed,
            most_frames=most_frames,
            version=version,
        )
        for seed in seeds
        for game in group
    ]


def _mean_normalised(scores: list[list[float]], group: tuple[str, ...]) -> float | None:
    if any(len(each) < LEAST_GAMES for each in scores):
        return None
    means = []
    for game, each in zip(group, scores, strict=True):
        normalised = get_game(game).normalise(float(np.mean(each)))
        means.append(min(CAP, normalised if normalised is not None else 0.0))
    return float(np.mean(means))
