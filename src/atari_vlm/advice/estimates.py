"""The cost of several runs, or trainings: every player in every game, before they are played."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

from atari_vlm.advice.estimate import Estimate, NotBilled, estimate_run
from atari_vlm.advice.simulation import simulated_line
from atari_vlm.errors import InvalidSetting
from atari_vlm.players import Options

Priced = TypeVar("Priced")


def estimate_runs(
    games: Sequence[str], models: Sequence[str], *, episodes: int, options: Options
) -> tuple[list[Estimate], list[str]]:
    """Estimate a run of so many episodes of every model in every game; see `estimate_each`."""
    return estimate_each(
        games, models, options, partial(estimate_run, episodes=episodes, options=options)
    )


def estimate_each(
    games: Sequence[str],
    models: Sequence[str],
    options: Options,
    price: Callable[[str, str], Priced],
) -> tuple[list[Priced], list[str]]:
    """Estimate every model in every game.

    Args:
        games: any spellings of games.
        models: players by name.
        options: of all of them.
        price: estimates a (game, model), e.g. with `estimate_run`.

    Returns:
        The estimates, by model; and sentences about players that nobody bills, with settings marked
        as by `errors.setting`: what they simulate, or why there is no estimate.

    Raises:
        InvalidSetting: none of the players is billed or simulates anything, or none can play.
        UnknownName: no game, model or prompt has a name.
    """
    made: list[Priced] = []
    left_out: dict[str, InvalidSetting] = {}
    simulated: list[str] = []
    for model in models:
        for game in games:
            try:
                made.append(price(game, model))
            except NotBilled as error:
                try:
                    about = simulated_line(game, model, options)
                except InvalidSetting as cannot_play:
                    left_out[cannot_play.message] = cannot_play
                    continue
                if about:
                    simulated.append(about)
                else:
                    left_out[error.message] = error
            except InvalidSetting as error:
                left_out[error.message] = error
    if not made and not simulated:
        raise next(iter(left_out.values()))
    return made, [*simulated, *(f"Not estimated: {error.message}" for error in left_out.values())]
