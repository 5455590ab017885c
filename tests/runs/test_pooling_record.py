"""How pictures were pooled is recorded, replayed, and continued."""

from __future__ import annotations

import sqlite3
from contextlib import closing

import numpy as np
import pytest

from atari_vlm.errors import InvalidSetting, StoreError
from atari_vlm.runs.playback import environment, observations
from atari_vlm.runs.run import Run
from atari_vlm.trainer import VLMTrainer
from atari_vlm.types import Decision


class Looks:
    """Plays at random and keeps what it saw."""

    name = "looks"

    def __init__(self):
        self.seen = []

    async def decide(self, observation, history, rng):
        self.seen.append(observation.frames[-1].pixels)
        return Decision(str(rng.choice(observation.legal)), observation.interval)


@pytest.mark.parametrize("asked", [None, "flicker", "brighter", "last"])
def test_a_run_records_its_pooling_and_replays_what_was_seen(asked, tmp_path):
    player, given = Looks(), {} if asked is None else {"pool_frames": asked}
    trainer = VLMTrainer(
        "wizard_of_wor", policy=player, run_folder=tmp_path, max_decisions=60, **given
    )
    trainer.train(1)
    with closing(Run.read(tmp_path)) as run:
        assert run.settings["pool_frames"] == (asked or "flicker")
        replayed = [observation.frames[-1].pixels for observation in observations(run, 0)]
    assert all(np.array_equal(a, b) for a, b in zip(player.seen, replayed[:-1], strict=True))
    for other in {"flicker", "brighter", "last"} - {asked or "flicker"}:
        again = VLMTrainer(
            "wizard_of_wor",
            policy=Looks(),
            run_folder=tmp_path,
            max_decisions=60,
            pool_frames=other,
        )
        with pytest.raises(StoreError, match="pool_frames"):
            again.train(1)


def test_a_run_from_before_the_setting_replays_and_goes_on_with_two_screens(tmp_path):
    def trainer(player):
        return VLMTrainer("wizard_of_wor", policy=player, run_folder=tmp_path, max_decisions=60)

    old = VLMTrainer(
        "wizard_of_wor",
        policy=Looks(),
        run_folder=tmp_path,
        max_decisions=60,
        pool_frames="brighter",
    )
    old.train(1)
    with closing(sqlite3.connect(tmp_path / "run.sqlite")) as db:
        db.execute("DELETE FROM settings WHERE name = 'pool_frames'")
        db.commit()
    asked = VLMTrainer(
        "wizard_of_wor",
        policy=Looks(),
        run_folder=tmp_path,
        max_decisions=60,
        pool_frames="flicker",
    )
    with pytest.raises(StoreError, match="pool_frames 'brighter', not 'flicker'"):
        asked.train(2)
    player = Looks()
    trainer(player).train(2)
    with closing(Run.read(tmp_path)) as run:
        assert environment(run.settings).pool_frames == "brighter"
        replayed = [observation.frames[-1].pixels for observation in observations(run, 1)]
    assert all(np.array_equal(a, b) for a, b in zip(player.seen, replayed[:-1], strict=True))


def test_the_embedded_model_sees_the_pictures_it_was_trained_on(tmp_path):
    def trainer(**given):
        return VLMTrainer("pong", "embedded", run_folder=tmp_path, max_decisions=2, **given)

    assert trainer().settings["pool_frames"] == "brighter"
    assert trainer(pool_frames="brighter").settings == trainer().settings
    for other in ("flicker", "last"):
        with pytest.raises(InvalidSetting, match=r"embedded was trained on .* leave it out"):
            trainer(pool_frames=other)
    usual = VLMTrainer("pong", "random", run_folder=tmp_path)
    assert usual.settings["pool_frames"] == "flicker"
