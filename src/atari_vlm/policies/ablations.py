"""Ablations: the same player, shown screens that say nothing about its game.

A player whose score survives an ablation does not play by sight. Ablated players are named after
what they are shown: `embedded+blank`, `gpt-4o+shuffled`.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import overload

import numpy as np

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.errors import InvalidSetting
from atari_vlm.policies.checking import check_inside
from atari_vlm.policies.scored import ScoredPolicy
from atari_vlm.policies.vlm import VLMPolicy
from atari_vlm.protocols import Policy, awaitable, chain_of, prior_of
from atari_vlm.types import Decision, Frame, Observation, Plan, Step

FramePair = tuple[Frame, Frame]
"""The screen one decision ago and the current one."""

MOMENTS, APART = 48, 12
"""Screens that `shuffled` draws from, and the decisions between two of them."""


@dataclass(frozen=True)
class AblatedPolicy:
    """Plays what another policy decides when it is shown one of `shown` in place of the screen.

    The pair is drawn anew for every decision. Score, lives and legal actions are the true ones.
    """

    policy: Policy
    ablation: str
    """Name of the ablation."""
    shown: tuple[FramePair, ...]

    def __post_init__(self) -> None:
        """Refuse what cannot work."""
        check_inside(self)

    @property
    def name(self) -> str:
        """The inner policy's name and the ablation, e.g. "embedded+blank"."""
        return f"{self.policy.name}+{self.ablation}"

    async def decide(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> Decision:
        """Ask the policy inside about the wrong screens."""
        seen, past = self._ablated(observation, history, rng)
        deciding = self.policy.decide(seen, past, rng)
        return await awaitable(deciding, self.policy, "decide")

    async def prior(
        self, observation: Observation, history: Sequence[Step]
    ) -> dict[Plan, float] | None:
        """The prior of the policy inside on wrong screens, drawn by the episode and the step."""
        episode = observation.frames[-1].episode if observation.frames else 0
        rng = np.random.default_rng([abs(episode), observation.step])
        return await prior_of(self.policy, *self._ablated(observation, history, rng))

    def _ablated(
        self, observation: Observation, history: Sequence[Step], rng: np.random.Generator
    ) -> tuple[Observation, Sequence[Step]]:
        before, now = self.shown[int(rng.integers(len(self.shown)))]
        return _with_frames(observation, before, now), _AblatedHistory(history, before)


class _AblatedHistory(Sequence[Step]):
    """A history whose frames are replaced when a step is looked at, at no cost for the rest."""

    def __init__(self, steps: Sequence[Step], frame: Frame) -> None:
        self._steps, self._frame = steps, frame

    def __len__(self) -> int:
        return len(self._steps)

    @overload
    def __getitem__(self, index: int) -> Step: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Step]: ...
    def __getitem__(self, index: int | slice) -> Step | Sequence[Step]:
        if isinstance(index, slice):
            return _AblatedHistory(self._steps[index], self._frame)
        step = self._steps[index]
        seen = _with_frames(step.observation, self._frame, self._frame)
        return replace(step, observation=seen)


def _with_frames(observation: Observation, before: Frame, now: Frame) -> Observation:
    count = len(observation.frames)
    frames = (*(before,) * (count - 1), now) if count else ()
    # Whether the true screen changes is something seen, too.
    return replace(observation, frames=frames, still=0)


def _blank(game: str) -> list[FramePair]:
    """A black screen."""
    opening = _opening(game)
    black = replace(opening, pixels=np.zeros_like(opening.pixels))
    return [(black, black)]


def _frozen(game: str) -> list[FramePair]:
    """The screen a game opens with."""
    opening = _opening(game)
    return [(opening, opening)]


def _opening(game: str) -> Frame:
    emulator = Emulator(get_game(game))
    emulator.reset(seed=0)
    return Frame(emulator.screen(), standard=emulator.game.standard)


def _shuffled(game: str) -> list[FramePair]:
    """Two successive screens of some moment of other games, played at random."""
    rng = np.random.default_rng(0)
    emulator = Emulator(get_game(game))
    emulator.reset(seed=0)
    pairs: list[FramePair] = []
    standard = emulator.game.standard
    before, decision = emulator.screen(), 0
    while len(pairs) < MOMENTS:
        if emulator.terminated or emulator.truncated:
            emulator.reset(seed=decision)
            before = emulator.screen()
        emulator.play(int(rng.integers(len(emulator.legal))), 4, 4)
        now, decision = emulator.screen(), decision + 1
        if decision % APART == 0:
            at = 2 * len(pairs)
            pairs.append((Frame(before, 0, at, standard), Frame(now, 0, at + 1, standard)))
        before = now
    return pairs


ABLATIONS: dict[str, Callable[[str], list[FramePair]]] = {
    "blank": _blank,
    "frozen": _frozen,
    "shuffled": _shuffled,
}
"""Ablation -> the screens that are shown in a game."""


def ablate(policy: Policy, game: str, ablation: str) -> AblatedPolicy:
    """The policy under an ablation.

    Raises:
        InvalidSetting: the policy is no model, and does not look at the screen.
    """
    ablated = AblatedPolicy(policy, ablation, _shown(game, ablation))
    base = list(chain_of(policy))[-1]
    if not isinstance(base, VLMPolicy | ScoredPolicy):
        raise InvalidSetting(
            f"The baseline {base.name!r} cannot follow an ablation (+{ablation}); leave it out, or "
            "choose a model that looks at the screen."
        )
    return ablated


@lru_cache(maxsize=8)
def _shown(game: str, ablation: str) -> tuple[FramePair, ...]:
    """The screens of an ablation, which replaying the run cannot draw."""
    pairs = ABLATIONS[ablation](game)
    return tuple((before.foreign(), now.foreign()) for before, now in pairs)
