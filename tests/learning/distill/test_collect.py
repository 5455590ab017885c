"""Labelled data on disk: whole, resumable, and checked before training."""

from __future__ import annotations

import json
import signal
import time
from dataclasses import asdict, replace

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from pyarrow import parquet

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.errors import AtariVLMError, InvalidSetting, ModelUnusable, StoreError
from atari_vlm.learning.distill.answer_schemas.base import FRAME_SKIP
from atari_vlm.learning.distill.collect import (
    FIRST_EVALUATION_SEED,
    HELD_OUT_SEED,
    Disturbance,
    collect,
)
from atari_vlm.learning.distill.collection import CollectSettings
from atari_vlm.learning.distill.settings import DistillSettings
from atari_vlm.learning.distill.shard_header import ShardHeader
from atari_vlm.learning.distill.shards import open_dataset, write_shard
from atari_vlm.models.embedded.checkpoints import checkpoint
from tests.learning.distill.collecting import contents, gather, start


def test_a_row_names_the_episode_and_plans_that_lead_to_its_screen():
    calm = Disturbance(lead=(0.0,), scatter=0.0, warm_up=0)
    emulator = Emulator(get_game("pong"))
    for row in collect("pong", 300, seed=8, disturbance=calm):
        if row.first:
            emulator.reset(seed=row.seed)
        assert np.array_equal(emulator.screen(), row.screen.pixels)
        reward = emulator.play(emulator.legal.index(row.action), row.frames, FRAME_SKIP)
        assert (reward, emulator.terminated) == (row.reward, row.over)
        assert row.player == "expert"
        assert row.seed < FIRST_EVALUATION_SEED


def test_perturbed_moments_have_no_screen_before_and_no_weight(rows):
    scattered = [row for row in rows if row.scattered]
    assert 10 < len(scattered) < 60
    assert all(row.first and row.weight == 0 for row in scattered)
    assert rows[0].first
    assert not rows[0].scattered
    assert {row.player for row in rows} == {"expert", "random"}


def test_shards_of_one_seed_differ_and_a_short_one_is_a_prefix_of_a_long_one():
    def words(number, decisions):
        return [row.words for row in collect("pong", decisions, seed=0, number=number)]

    assert words(0, 80) == words(0, 200)[:80]
    assert words(0, 80) != words(1, 80)


def test_a_data_set_is_shards_settings_and_a_dataset_card(dataset):
    assert sorted(contents(dataset)) == [
        "README.md",
        "pong-expert-00000.parquet",
        "pong-expert-00001.parquet",
        "pong-expert-00002.parquet",
        "settings.json",
    ]
    assert [len(shard) for shard in open_dataset(dataset, ("pong",))] == [50, 50, 20]
    card = (dataset / "README.md").read_text()
    players = [row.player for shard in open_dataset(dataset, ("pong",)) for row in shard]
    counted = card.split("|---|---|---|---|---|\n")[1].splitlines()[0]
    most = max(("expert", "random"), key=players.count)
    assert f"| pong | expert | {most} | {players.count(most)} | " in counted
    assert "--games pong --decisions 120 --seed 0 --shard-size 50" in card
    assert "belong to their\nowners" in card
    assert str(dataset) not in card
    assert str(dataset) not in (dataset / "settings.json").read_text()


def test_the_chat_rows_of_the_dataset_card_fit_fine_tuning_tools(dataset):
    card = (dataset / "README.md").read_text()
    code = card.split("    def chat(row):")[1].split("\n\n")[0]
    space = {}
    exec("def chat(row):" + code.replace("\n    ", "\n"), space)
    row = parquet.read_table(dataset / "pong-expert-00000.parquet").to_pylist()[3]
    chat = space["chat"](row)
    assert [message["role"] for message in chat["messages"]] == ["user", "assistant"]
    assert chat["messages"][1]["content"][0]["text"] == row["words"]


def test_workers_collect_what_one_process_collects(dataset, tmp_path):
    done, reported = gather(tmp_path, workers=2)
    assert (done.decisions, done.workers, len(reported)) == (120, 2, 3)
    assert contents(tmp_path) == contents(dataset)


def test_more_decisions_extend_a_data_set_and_the_same_number_changes_nothing(tmp_path):
    gather(tmp_path, decisions=70)
    done, reported = gather(tmp_path)
    assert reported[0] == "Continuing: 50 of 120 decisions are there."
    assert done.decisions == 70
    assert gather(tmp_path)[0].decisions == 0
    assert gather(tmp_path, games=("pong", "freeway"), decisions=50)[0].decisions == 50
    assert "50 decisions" not in (tmp_path / "README.md").read_text()
    assert "170 decisions of freeway, pong" in (tmp_path / "README.md").read_text()


def test_a_killed_collection_continues_to_the_same_bytes(tmp_path):
    settings = {"games": ["pong"], "decisions": 600, "shard_size": 200}
    running = start(tmp_path / "killed", **settings)
    try:
        first = running.stdout.readline()
        time.sleep(0.05)
    finally:
        running.send_signal(signal.SIGKILL)
        running.communicate()
    assert first.startswith("pong-expert-00000.parquet: 200 of 600 decisions")
    kept = (tmp_path / "killed" / "pong-expert-00000.parquet").stat().st_mtime_ns
    assert not (tmp_path / "killed" / "README.md").exists()
    done, reported = gather(tmp_path / "killed", decisions=600, shard_size=200)
    assert reported[0].startswith("Continuing: ")
    assert 200 <= done.decisions <= 400
    gather(tmp_path / "whole", decisions=600, shard_size=200)
    assert contents(tmp_path / "killed") == contents(tmp_path / "whole")
    assert (tmp_path / "killed" / "pong-expert-00000.parquet").stat().st_mtime_ns == kept


def test_workers_end_soon_after_their_parent_is_killed(tmp_path):
    running = start(tmp_path, games=["pong"], decisions=20_000, shard_size=100, workers=2)
    running.stdout.readline()
    running.send_signal(signal.SIGKILL)
    running.communicate()  # until the workers, which have the same output, have ended too
    assert len(list(tmp_path.glob("*.parquet"))) < 10


@pytest.mark.parametrize("workers", [1, 2])
def test_a_full_disk_is_reported_and_finished_shards_are_kept(tmp_path, workers):
    gather(tmp_path, decisions=100)
    before = contents(tmp_path)
    settings = {"games": ["pong", "freeway"], "decisions": 200, "shard_size": 50}
    # A limit on file sizes replaces the full disk; Pong fits into it, Freeway does not.
    running = start(tmp_path, **settings, workers=workers, room=25_000)
    _, error = running.communicate()
    message = error.strip().splitlines()[-1]
    assert "StoreError: Cannot go on in" in message
    assert "File too large" in message
    assert "finished shards are kept; once this is fixed, the same command continues" in message
    after = contents(tmp_path)
    assert not [name for name in after if name.startswith("freeway") or name.endswith(".part")]
    assert {name: after[name] for name in before} == before


@pytest.mark.parametrize(
    ("other", "named"),
    [
        ({"seed": 1}, "it has seed 0, not 1"),
        ({"shard_size": 60}, "it has shard_size 50, not 60"),
        ({"disturbance": Disturbance(scatter=0.5)}, "it has disturbance .*scatter"),
        ({"student": checkpoint("pong")}, "it has student '', not '"),
    ],
)
def test_a_folder_with_other_settings_is_refused(dataset, other, named):
    before = contents(dataset)
    with pytest.raises(StoreError, match=f"holds other data: {named}"):
        gather(dataset, **other)
    (dataset / "lock").unlink()
    assert contents(dataset) == before


def test_a_shard_with_other_settings_is_refused(rows, tmp_path):
    gather(tmp_path, decisions=50)
    path = tmp_path / "pong-expert-00001.parquet"
    write_shard(
        path, iter(rows[:50]), replace(ShardHeader.of("pong", seed=0, number=1), sticky=0.0)
    )
    with pytest.raises(StoreError, match=r"00001.parquet was .* it has sticky 0.0, not 0.25"):
        gather(tmp_path)


@pytest.mark.parametrize(
    "wrong",
    [
        {"games": ()},
        {"games": ("pong", "pong")},
        {"games": ("pongg",)},
        {"decisions": 0},
        {"workers": 0},
        {"shard_size": 0},
        {"seed": HELD_OUT_SEED},
        {"seed": -1},
    ],
)
def test_settings_that_cannot_work_are_refused(wrong):
    with pytest.raises(AtariVLMError, match=r"at least 1|at least one|never learned|No game that"):
        CollectSettings(**wrong)


def test_the_student_plays_and_the_expert_labels(tmp_path):
    gather(tmp_path, student=checkpoint("pong"), decisions=60)
    (shard, _) = open_dataset(tmp_path, ("pong",))
    assert shard.path.name == "pong-student-00000.parquet"
    assert len(shard.header.student) == 12
    assert "student" in {row.player for row in shard}
    assert shard.header.student in (tmp_path / "README.md").read_text()


def test_a_student_without_weights_is_refused(tmp_path):
    with pytest.raises(ModelUnusable, match="no weights of an embedded model"):
        gather(tmp_path / "out", student=tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.training
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_distilling_learns_from_a_data_set_instead_of_playing_first(dataset, tmp_path):
    pytest.importorskip("torch")
    from atari_vlm.learning.distill.run import distill

    reported = []
    quick = {"batch": 8, "round_minutes": 9.0, "workers": 0, "episodes": 0, "minutes": 0.01}
    result = distill(DistillSettings(data=dataset, out=tmp_path, **quick), reported.append)
    assert reported[0] == "The pong expert plays 200 decisions."
    assert not any("expert plays" in line for line in reported[1:])
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["pong-held-00000.parquet"]
    assert "120 decisions in all" in (result.folder / "README.md").read_text()
    settings = DistillSettings(out=tmp_path, **quick)
    with pytest.raises(InvalidSetting, match="holds a distillation with other settings"):
        distill(settings, reported.append)
    with pytest.raises(InvalidSetting, match="nothing to learn freeway from"):
        distill(DistillSettings(data=dataset, games=("freeway",), out=tmp_path / "b", **quick))


def test_settings_of_runs_without_data_do_not_change():
    assert "data" not in json.loads(DistillSettings().to_json())
    assert "data" in asdict(DistillSettings())
