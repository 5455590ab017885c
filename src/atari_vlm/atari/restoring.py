"""Puts a saved state back into a console, so that the game goes on as it did."""

from __future__ import annotations

from typing import Any

FIRST_SCREENS = {"qbert": 4, "tetris": 4}
"""Emulator frames of a game in which its first screens are unfinished; 1 in all others."""

LONG_SCREENS = frozenset({"tic_tac_toe_3d"})
"""Games that compute for several emulator frames without finishing a screen, of all games in 8,000
frames of random play. While they do, a restored state may draw its next screens differently. So may
one of Yars' Revenge, which draws a screen over two frames."""

UNRESTORABLE = LONG_SCREENS | {"yars_revenge"}
"""Games that keep their consoles and are switched on for each episode, for that reason."""

_NOOP = 0


def put_back(ale: Any, game: str, state: Any, frame: int, *, drawn: bool) -> None:
    """Restore a state of ALE.

    Args:
        ale: the console.
        game: name of its game.
        state: an `ALEState` of that game.
        frame: emulator frames from the start of the episode to the state.
        drawn: whether the console has drawn a frame since it was switched on.
    """
    # The states of ALE 0.12.1 hold neither the screen that is being drawn nor whether it is
    # finished (upstream PRs #732 and #739). Both must be as they were when the state was saved,
    # or the game goes on differently, or ALE writes past the screen and the process ends.
    early = frame < FIRST_SCREENS.get(game, 1)
    if early or game in LONG_SCREENS:
        ale.reset_game()
        for _ in range(frame if early else 0):
            ale.act(_NOOP)
    elif not drawn:
        ale.restoreState(state)
        ale.act(_NOOP)
    ale.restoreState(state)
