"""Some episodes show the first screen of a game; older data sets continue without them."""

from __future__ import annotations

import hashlib
import json

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.errors import StoreError
from atari_vlm.learning.distill.answer_schemas.base import FRAME_SKIP
from atari_vlm.learning.distill.answer_schemas.table import ANSWER_SCHEMAS
from atari_vlm.learning.distill.collect import (
    FORMER_DISTURBANCES,
    LONGEST_WAIT,
    UNDISTURBED,
    Disturbance,
    collect,
)
from atari_vlm.learning.distill.shards import open_dataset
from atari_vlm.types import Plan
from tests.learning.distill.collecting import contents, gather

(FORMER,) = FORMER_DISTURBANCES


def first_screen(game):
    emulator = Emulator(get_game(game))
    emulator.reset(seed=0)
    return emulator.screen()


@pytest.mark.parametrize("game", ANSWER_SCHEMAS)
def test_an_episode_from_the_first_screen_is_disturbed_only_later(game):
    wild = Disturbance(from_first_screen=1.0, lead=(1.0,), scatter=1.0, length=(40, 41))
    rows = list(collect(game, 40, seed=1, disturbance=wild))
    assert np.array_equal(rows[0].screen.pixels, first_screen(game))
    assert rows[0].first
    assert not any(row.first for row in rows[1:UNDISTURBED])
    players = [row.player for row in rows[:UNDISTURBED]]
    waits = players.count("random")
    assert waits <= LONGEST_WAIT
    assert players == ["random"] * waits + ["expert"] * (UNDISTURBED - waits)
    assert {row.action for row in rows[:waits]} <= {"NOOP"}
    assert "random" in {row.player for row in rows[UNDISTURBED:]}


def test_a_tenth_of_the_episodes_begin_at_the_first_screen():
    short = Disturbance(length=(2, 3))
    rows = list(collect("freeway", 20, seed=0, disturbance=short))
    began = [row for row in rows if row.step == 0]
    screen = first_screen("freeway")
    assert len(began) == 10
    assert sum(np.array_equal(row.screen.pixels, screen) for row in began) == 1


def test_the_student_is_seen_at_the_first_screen_too():
    class Idle:
        def plan(self, image, game, rng):
            return Plan("NOOP", FRAME_SKIP)

    always = Disturbance(from_first_screen=1.0, student=(1.0,))
    rows = list(collect("breakout", 30, seed=3, student=Idle(), disturbance=always))
    assert {row.player for row in rows[LONGEST_WAIT:UNDISTURBED]} == {"student"}
    assert all(row.words.endswith("FIRE for 2 frames") for row in rows[:UNDISTURBED])


def test_a_data_set_says_how_many_episodes_begin_at_the_first_screen(dataset):
    assert json.loads((dataset / "settings.json").read_text())["disturbance"][
        "from_first_screen"
    ] == pytest.approx(0.1)
    shard = open_dataset(dataset, ("pong",))[0]
    assert shard.header.disturbance["from_first_screen"] == pytest.approx(0.1)
    assert "10% of the episodes are recorded from the first screen" in " ".join(
        (dataset / "README.md").read_text().split()
    )


def test_an_older_data_set_is_read_and_continues_as_it_began(tmp_path):
    gather(tmp_path / "older", decisions=70, disturbance=FORMER)
    stored = json.loads((tmp_path / "older" / "settings.json").read_text())
    assert set(stored["disturbance"]) == {"lead", "student", "scatter", "warm_up", "length"}
    done, _ = gather(tmp_path / "older")
    assert done.decisions == 70
    gather(tmp_path / "whole", disturbance=FORMER)
    assert contents(tmp_path / "older") == contents(tmp_path / "whole")
    with pytest.raises(StoreError, match="holds other data: it has disturbance"):
        gather(tmp_path / "older", disturbance=Disturbance())


def test_an_older_disturbance_gives_the_rows_of_the_version_before():
    digest = hashlib.sha256()
    for row in collect("breakout", 300, seed=5, disturbance=FORMER):
        digest.update(row.screen.pixels.tobytes() + row.words.encode() + row.action.encode())
        digest.update(bytes([row.frames, row.first, row.scattered]))
    assert digest.hexdigest()[:16] == "7a0c3d0a51726df3"  # of the version without first screens
