"""Seeds are printed in the unit in which they are given."""

from __future__ import annotations

from contextlib import closing

import pytest

from atari_vlm import VLMTrainer
from atari_vlm.report.packing import pack
from atari_vlm.report.run_page import replay_of
from atari_vlm.runs.run import Run
from atari_vlm.runs.seeds import EVALUATION, emulator_seeds, seed_text


@pytest.mark.parametrize(
    ("seed", "offset", "count", "text"),
    [
        (9, 0, 1, "seed 9"),
        (0, 0, 5, "seed 0, episodes 0 to 4"),
        (9, EVALUATION, 1, "seed 9, evaluation episode 0"),
        (10**12, EVALUATION, 3, "seed 1000000000000, evaluation episodes 0 to 2"),
    ],
)
def test_emulator_seeds_are_named_by_the_seed_that_was_given(seed, offset, count, text):
    assert seed_text(emulator_seeds(seed, offset, count)) == text


def test_seeds_of_no_one_run_are_named_as_they_are():
    assert seed_text([9_000_003]) == "seed 9, episode 3"
    assert seed_text([5, 2_000_000]) == "emulator seeds 5 to 2000000"


def test_the_page_names_the_seed_that_was_given(tmp_path):
    trainer = VLMTrainer("pong", "random", seed=9, max_decisions=3, run_folder=tmp_path)
    trainer.train(2)
    with closing(Run.read(tmp_path)) as run:
        page = pack(replay_of(run))
    assert [episode["seed"] for episode in page["episodes"]] == ["9", "9, episode 1"]
    assert "9000000" not in str(page["settings"])
