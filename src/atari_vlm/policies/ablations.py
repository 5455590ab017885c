"""Proof that a player looks: the same player, shown screens that say nothing about its game.

A player whose score survives this plays by habit, not by sight. Every ablated player is named
after what it is shown: `embedded+blank`, `gpt-4o+shuffled`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.errors import unknown
from atari_vlm.types import Decision, Frame, Observation, Policy, Privilege, Step

Pair = tuple[Frame, Frame]
"""The screen one decision ago and the current one."""

MOMENTS, APART = 48, 12
"""Screens that `shuffled` draws from, and the decisions between two of them."""


@dataclass(frozen=True)
class AblatedPolicy:
    """Plays what another policy decides on, shown one of `shown` in place of the screen.

    Which one is drawn anew for every decision. Score, lives and legal actions stay true.
    """

    policy: Policy
    sight: str
    """Name of the ablation."""
    shown: tuple[Pair, ...]

    @property
    def name(self) -> str:
        """The player's name and what it is shown."""
        return f"{self.policy.name}+{self.sight}"

    @property
    def privileges(self) -> frozenset[Privilege]:
        """Those of the policy itself."""
        return self.policy.privileges

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """Ask the policy about the wrong screens."""
        before, now = self.shown[int(rng.integers(len(self.shown)))]
        past = [
            replace(step, observation=_seeing(step.observation, before, before)) for step in history
        ]
        return await self.policy.decide(_seeing(observation, before, now), past, rng)


def _seeing(observation: Observation, before: Frame, now: Frame) -> Observation:
    count = len(observation.frames)
    frames = (*(before,) * (count - 1), now) if count else ()
    return replace(observation, frames=frames)


def _blank(game: str) -> list[Pair]:
    """A black screen."""
    opening = _opening(game)
    black = replace(opening, pixels=np.zeros_like(opening.pixels))
    return [(black, black)]


def _frozen(game: str) -> list[Pair]:
    """The screen a game opens with, for ever."""
    opening = _opening(game)
    return [(opening, opening)]


def _opening(game: str) -> Frame:
    emulator = Emulator(get_game(game))
    emulator.reset(seed=0)
    return Frame(emulator.screen(), standard=emulator.game.standard)


def _shuffled(game: str) -> list[Pair]:
    """Two successive screens of some moment of other games, played at random."""
    rng = np.random.default_rng(0)
    emulator = Emulator(get_game(game))
    emulator.reset(seed=0)
    pairs: list[Pair] = []
    standard = emulator.game.standard
    before, decision = emulator.screen(), 0
    while len(pairs) < MOMENTS:
        if emulator.over or emulator.truncated:
            emulator.reset(seed=decision)
            before = emulator.screen()
        emulator.play(int(rng.integers(len(emulator.legal))), 4, 4)
        now, decision = emulator.screen(), decision + 1
        if decision % APART == 0:
            at = 2 * len(pairs)
            pairs.append((Frame(before, 0, at, standard), Frame(now, 0, at + 1, standard)))
        before = now
    return pairs


SIGHTS: dict[str, Callable[[str], list[Pair]]] = {
    "blank": _blank,
    "frozen": _frozen,
    "shuffled": _shuffled,
}
"""Ablation -> what is shown in a game."""


def split(name: str) -> tuple[str, str | None]:
    """The player and the ablation in a name.

    >>> split("embedded+blank")
    ('embedded', 'blank')

    Raises:
        UnknownName: there is no such ablation.
    """
    player, plus, sight = name.rpartition("+")
    if not plus or not player:
        return name, None
    if sight not in SIGHTS:
        raise unknown("ablation", sight, SIGHTS)
    return player, sight


def ablate(policy: Policy, game: str, sight: str, keep: Callable[[Frame], Frame]) -> AblatedPolicy:
    """The policy with that sight; `keep` puts each wrong screen into the record of the run."""
    pairs = tuple((keep(before), keep(now)) for before, now in SIGHTS[sight](game))
    return AblatedPolicy(policy, sight, pairs)
