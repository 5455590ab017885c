"""Players: rows and whole games, told and delivered through files."""

from __future__ import annotations

import shutil
from dataclasses import replace

import numpy as np
import pytest

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.errors import ModelUnusable
from atari_vlm.learning.distill.answer_schemas.table import get_answer_schema
from atari_vlm.learning.distill.collect import Disturbance, collect
from atari_vlm.learning.distill.resident.players import Player, PlayerOrder, disturbance_of
from atari_vlm.learning.distill.resident.spool import GameOrder, Spool, Work
from atari_vlm.learning.distill.row_arrays import RowArrays
from atari_vlm.models.embedded.checkpoints import checkpoint

pytestmark = pytest.mark.training


def player(folder, **changes):
    pytest.importorskip("transformers")
    order = {
        "number": 0,
        "name": "0.0",
        "spool": folder / "0",
        "games_folder": folder / "games",
        "groups": (("pong",), ("freeway",)),
        "seed": 3,
        "start": 0,
        "chunk_rows": 60,
        "teacher_share": 0.5,
        "most_waiting": 4,
        "judge": True,
        "held_out": (),
        "held_out_rows": 50,
        **changes,
    }
    return Player(PlayerOrder(**order))


@pytest.fixture
def spool(tmp_path):
    made = Spool(tmp_path / "0", tmp_path / "games")
    made.create()
    return made


def rows_of(path):
    return RowArrays.from_buffer(np.fromfile(path, np.uint8))


def test_a_player_delivers_rows_of_every_game_by_its_share_until_enough_wait(spool, tmp_path):
    one = player(tmp_path)
    turns = [one.turn() for _ in range(6)]
    assert turns == [True] * 4 + [False] * 2
    names = [path.name.split("-")[:2] for path in spool.waiting()]
    assert sorted(names) == [["freeway", "expert"]] * 2 + [["pong", "expert"]] * 2
    assert all(len(rows_of(path)) == 60 for path in spool.waiting())


def test_held_out_rows_come_first_and_are_the_same_in_every_training(spool, tmp_path):
    for seed, name in ((3, "0.0"), (4, "0.1")):
        player(tmp_path, seed=seed, name=name, held_out=("pong",), held_out_rows=120).turn()
    chunks = [path for path in spool.waiting() if "-held-" in path.name]
    assert len(chunks) == len(spool.waiting()) == 4
    assert len({rows_of(path).grey.tobytes() for path in chunks}) == 2


def test_no_two_players_and_no_two_starts_play_the_same(spool, tmp_path):
    for changes in ({}, {"name": "0.1"}, {"name": "1.0"}, {"start": 1}):
        player(tmp_path, groups=(("pong",),), **changes).turn()
    screens = {rows_of(path).grey.tobytes() for path in spool.waiting()}
    assert len(screens) == 4


def test_students_play_rows_once_there_is_a_snapshot(spool, tmp_path):
    snapshot = tmp_path / "000001"
    snapshot.mkdir()
    (snapshot / "pong").symlink_to(checkpoint("pong"))
    spool.tell(Work(student=str(snapshot)))
    one = player(tmp_path, groups=(("pong",),), teacher_share=0.0)
    assert one.turn()
    spool.tell(Work(student=str(tmp_path / "000002")))  # it was replaced meanwhile
    assert one.turn()
    assert [path.name.split("-")[1] for path in spool.waiting()] == ["student", "student"]


def test_games_are_played_once_and_their_scores_come_back(spool, tmp_path):
    orders = [GameOrder(str(checkpoint("pong")), "pong", seed, 200, 7) for seed in (5, 6)]
    spool.order(orders)
    assert spool.unfinished == 2
    spool.claim("0.9")
    spool.give_back("0.9")  # a player that ended in the middle
    one = player(tmp_path, groups=(("pong",),))
    assert one.turn()
    assert one.turn()
    played = list(spool.take_played())
    assert [each.order for each in played] == orders
    assert all(-2 <= each.score <= 2 for each in played)
    assert (spool.unfinished, list(spool.take_played())) == (0, [])


def test_a_damaged_snapshot_is_told_and_ends_no_player(spool, tmp_path):
    copy = tmp_path / "000007"
    shutil.copytree(checkpoint("pong"), copy)
    with (copy / "model.safetensors").open("r+b") as file:
        file.truncate(10_000)
    spool.order([GameOrder(str(copy), "pong", 5, 200, version) for version in (7, -1)])
    one = player(tmp_path, groups=(("pong",),))
    with pytest.raises(ModelUnusable):  # the final weights
        one.turn()
    assert one.turn()
    (played,) = spool.take_played()
    assert played.order.version == 7
    assert played.error


def test_a_player_that_is_no_judge_plays_games_only_when_no_rows_are_wanted(spool, tmp_path):
    spool.order([GameOrder(str(checkpoint("pong")), "pong", 5, 100, 1)])
    one = player(tmp_path, groups=(("pong",),), judge=False)
    one.turn()
    assert (len(spool.waiting()), spool.unfinished) == (1, 1)
    spool.tell(Work(rows=False))
    assert one.turn()
    assert (len(spool.waiting()), spool.unfinished) == (1, 0)
    assert not one.turn()


def test_half_of_the_teachers_are_disturbed_more_and_students_play_for_longer():
    leads = {disturbance_of("pong", "expert", number).lead for number in range(4)}
    assert len(leads) == 2
    for game, times in (("pong", 2), ("montezuma_revenge", 1)):
        fewest, most = get_answer_schema(game).episode_length
        assert disturbance_of(game, "student", 0).length == (fewest, times * most)


def test_some_episodes_of_every_player_begin_at_the_first_screen():
    for player in range(6):
        for kind in ("expert", "student"):
            usual = disturbance_of("pong", kind, player)
            assert usual.from_first_screen == Disturbance().from_first_screen > 0
    emulator = Emulator(get_game("pong"))
    emulator.reset(seed=0)
    short = replace(usual, length=(3, 5))
    begun = [row for row in collect("pong", 60, seed=0, disturbance=short) if not row.step]
    opening = [np.array_equal(row.screen.pixels, emulator.screen()) for row in begun]
    assert any(opening)
    assert not all(opening)
