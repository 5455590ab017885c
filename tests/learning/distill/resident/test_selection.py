"""Which snapshot is written: the one that plays best, and what is said of it."""

from __future__ import annotations

import pytest

from atari_vlm.errors import StoreError
from atari_vlm.learning.distill.collect import FIRST_EVALUATION_SEED
from atari_vlm.learning.distill.resident.selection import (
    CAP,
    FIRST_TUNING_SEED,
    Selection,
    game_orders,
)
from atari_vlm.learning.distill.resident.spool import PlayedGame
from atari_vlm.runs.seeds import EPISODES

GROUPS = (("pong", "breakout"), ("freeway",))


def selection(*losses):
    made = Selection(GROUPS)
    for version, each in enumerate(losses, 1):
        made.add(version, version / 2, list(each))
    return made


def play(made, version, game, *scores):
    for number, score in enumerate(scores):
        (order,) = game_orders(version, "x", (game,), "x", range(number, number + 1), 100)
        made.take(PlayedGame(order, score))


def test_the_snapshot_that_plays_best_is_chosen_for_each_group():
    made = selection((1.0, 1.0), (2.0, 0.5))
    for version, pong, freeway in ((1, 0, 30), (2, 18, 10)):
        play(made, version, "pong", pong, pong)
        play(made, version, "breakout", 20, 30)
        play(made, version, "freeway", freeway, freeway)
    assert [made.best(number).version for number in (0, 1)] == [2, 1]
    assert "by 2 games of each game: mean human-normalised score" in made.best(0).line()
    with pytest.raises(StoreError, match="No snapshot of pong, breakout is left that loads"):
        Selection(GROUPS).best(0)


def test_no_game_outvotes_the_others_of_its_group():
    made = selection((1.0, 1.0), (1.0, 1.0))
    play(made, 1, "pong", -20, -20)
    play(made, 1, "breakout", 800, 800)
    play(made, 2, "pong", 20, 20)
    play(made, 2, "breakout", 100, 100)
    assert made.best(0).version == 2
    assert made.best(0).score < CAP


def test_the_held_out_loss_chooses_where_too_few_games_were_played():
    made = selection((1.0, 1.0), (0.9, 2.0))
    play(made, 1, "pong", 20, 20)  # Breakout is missing
    play(made, 1, "freeway", 20)
    assert [made.best(number).version for number in (0, 1)] == [2, 1]
    assert "too few games were played" in made.best(0).line()
    assert made.best(0).score is None


def test_overfitting_is_said_with_its_lowest_loss():
    made = selection((1.0, 1.0))
    assert made.see_losses(1.0, [3.0, 1.0]) == []
    assert made.see_losses(2.0, [2.0, 1.02]) == []
    (said,) = made.see_losses(3.0, [2.5, 1.02])
    assert said.startswith(
        "pong, breakout over-fits: held-out loss 2.500, and 2.000 at minute 2.0."
    )


def test_a_continued_training_knows_its_candidates_and_drops_the_beaten_ones():
    made = selection(*[(1.0 + k, 2.0) for k in range(8)])
    for version in range(1, 9):
        for game in ("pong", "breakout", "freeway"):
            play(made, version, game, version % 5, version % 5)
    kept = made.worth_keeping()
    assert {4, 8, 1} <= kept  # the best, the newest and the lowest loss
    assert 5 not in kept
    made.keep(kept)
    again = Selection(GROUPS)
    again.load_state_dict(made.state_dict())
    play(again, 8, "pong", 3, 3)  # a second time, since the training was killed meanwhile
    assert [again.best(n) for n in (0, 1)] == [made.best(n) for n in (0, 1)]
    assert again.best(0).of == 8


@pytest.mark.parametrize("seed", [77, 78])
def test_the_games_that_choose_have_seeds_of_their_own(seed):
    orders = game_orders(1, "x", ("pong",), "x", range(1_000), 100)
    seeds = {order.seed for order in orders}
    assert min(seeds) == FIRST_TUNING_SEED
    assert max(seeds) < FIRST_EVALUATION_SEED
    assert not seeds & set(range(seed * EPISODES, (seed + 1) * EPISODES))
