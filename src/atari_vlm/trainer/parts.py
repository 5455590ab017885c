"""What a trainer is made of, beside its options: a game, a player, parts of the caller's own."""

from __future__ import annotations

from dataclasses import dataclass

from atari_vlm.protocols import Learner, Model, Policy
from atari_vlm.runs.runner import Watcher
from atari_vlm.types import Strategy


@dataclass(frozen=True)
class Matchup:
    """What plays what."""

    game_name: str
    vlm_type: str | None = None


@dataclass(frozen=True, kw_only=True)
class Parts:
    """Parts of the caller's own, instead of those with a name."""

    strategy: Strategy | None = None
    learner: Learner | None = None
    watch: Watcher | None = None
    progress: bool | None = None


@dataclass(frozen=True, kw_only=True)
class OwnPlayer:
    """A player of the caller's own."""

    model: Model | None = None
    policy: Policy | None = None
