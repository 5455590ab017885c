"""Several games at once in threads, as the document this was asked for does it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from atari_vlm import VLMTrainer
from atari_vlm.errors import StoreError
from atari_vlm.models.scripted import ScriptedModel

GAMES = ["pong", "breakout", "freeway", "seaquest"]


def trainer(player, game, folder, **settings):
    own = {"vlm_type": player}
    if player == "mine":
        own["model"] = ScriptedModel(lambda prompt: f"ACTION: {prompt.legal[-1]}")
    return VLMTrainer(game, **own, save_dir=folder, max_decisions=12, **settings)


@pytest.mark.parametrize("player", ["embedded", "mine"])
def test_four_threads_play_what_one_after_the_other_plays(player, tmp_path):
    def run_episode(game):
        return trainer(player, game, tmp_path / "at once").run_episode()

    with ThreadPoolExecutor(max_workers=4) as executor:
        futures = [executor.submit(run_episode, game) for game in GAMES]
        at_once = [future.result() for future in futures]
    assert len(list((tmp_path / "at once").iterdir())) == 4
    for game, played in list(zip(GAMES, at_once, strict=True))[2:]:
        alone = trainer(player, game, tmp_path / "alone").run_episode()
        assert [step.decision.plan for step in played.steps] == [
            step.decision.plan for step in alone.steps
        ]
        last, other = played.steps[-1].observation, alone.steps[-1].observation
        assert last.game == game
        assert np.array_equal(last.frames[-1].pixels, other.frames[-1].pixels)


def test_threads_with_one_trainer_play_the_seeds_they_are_given(tmp_path):
    shared = trainer("mine", "breakout", tmp_path)
    with ThreadPoolExecutor(max_workers=4) as executor:
        played = list(executor.map(shared.run_episode, range(4)))
    assert [len(trajectory.steps) for trajectory in played] == [12] * 4
    again = trainer("mine", "breakout", tmp_path / "again").run_episode(2)
    first, other = (t.steps[-1].observation.frames[-1].pixels for t in (played[2], again))
    assert np.array_equal(first, other)


def test_two_threads_cannot_write_one_run(tmp_path):
    def inside(_episode, _step):
        with pytest.raises(StoreError):
            trainer("mine", "pong", tmp_path).run_episode()

    trainer("mine", "pong", tmp_path, watch=inside).run_episode()
