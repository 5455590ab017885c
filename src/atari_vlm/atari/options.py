"""Options of the game: its dynamics, and when an episode ends."""

from __future__ import annotations

from dataclasses import dataclass

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import Game
from atari_vlm.atari.pooling import pooling_of
from atari_vlm.options import check_numbers, option


@dataclass(frozen=True, kw_only=True)
class GameOptions:
    """The game and its dynamics; the defaults are those of `ALE/<Game>-v5`."""

    frame_skip: int = option(4, "Emulator frames (60 a second) a decision.", least=1, most=10_000)
    frame_stack: int = option(4, "Screens the policy sees, oldest first.", least=1, most=10_000)
    repeat_action_probability: float = option(
        0.25,
        "Probability that a frame repeats the action before (sticky actions).",
        flag="--sticky",
        least=0.0,
        most=1.0,
    )
    full_action_space: bool = option(
        False, "All 18 actions instead of the game's own.", flag="--full-action-space"
    )
    pool_frames: str | None = option(
        None,
        "How a picture is made of raw screens: flicker (sprites drawn in turns are all shown), "
        "brighter (of the last two) or last; default: flicker, or what the model was trained on.",
    )
    mode: int | None = option(None, "ALE game mode; default: the game's own.", least=0, most=10_000)
    difficulty: int | None = option(
        None, "ALE difficulty switch; default: the game's own.", least=0, most=10_000
    )
    max_decisions: int | None = option(
        None, "End episodes after this many decisions; default: whole games.", least=1, most=10**9
    )

    def __post_init__(self) -> None:
        check_numbers(self)
        if self.pool_frames is not None:
            pooling_of(self.pool_frames)

    def check_cartridge(self, game: Game) -> None:
        """Raise InvalidSetting unless the game has this mode and this difficulty."""
        if self.mode is not None or self.difficulty is not None:
            Emulator(game, mode=self.mode, difficulty=self.difficulty)
