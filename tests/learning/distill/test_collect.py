"""Labelled data on disk: whole, resumable, and checked before training."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict, replace

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from PIL import Image
from pyarrow import parquet

from atari_vlm.atari.emulator import Emulator
from atari_vlm.atari.games import get_game
from atari_vlm.atari.images import rgb
from atari_vlm.errors import AtariVLMError, InvalidSetting, ModelUnusable, StoreError
from atari_vlm.learning.distill.answer_schemas.base import FRAME_SKIP, plans
from atari_vlm.learning.distill.answer_schemas.table import ANSWER_SCHEMAS, get_answer_schema
from atari_vlm.learning.distill.collect import (
    FIRST_EVALUATION_SEED,
    HELD_OUT_SEED,
    Disturbance,
    collect,
)
from atari_vlm.learning.distill.collection import CollectSettings, collect_dataset
from atari_vlm.learning.distill.settings import DistillSettings
from atari_vlm.learning.distill.shard_header import ShardHeader
from atari_vlm.learning.distill.shards import open_dataset, open_shard, write_shard
from atari_vlm.models.embedded.checkpoints import checkpoint, weights

COLLECT = """
import json, sys
from pathlib import Path
from atari_vlm.learning.distill.collection import CollectSettings, collect_dataset
settings = json.loads(sys.argv[2])
if room := settings.pop("room", 0):
    import resource
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
if __name__ == "__main__":
    collect_dataset(CollectSettings(out=Path(sys.argv[1]), **settings))
"""


def start(out, **settings):
    source = os.path.dirname(os.path.dirname(weights().parent))
    return subprocess.Popen(
        [sys.executable, "-c", COLLECT, str(out), json.dumps(settings)],
        env={**os.environ, "PYTHONPATH": source},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def gather(out, **settings):
    reported = []
    small = {"games": ("pong",), "decisions": 120, "shard_size": 50}
    done = collect_dataset(CollectSettings(out=out, **{**small, **settings}), reported.append)
    return done, reported


def contents(folder):
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    folder = tmp_path_factory.mktemp("dataset")
    gather(folder)
    return folder


@pytest.fixture(scope="module")
def rows():
    return list(collect("pong", 300, seed=3, disturbance=Disturbance(scatter=0.1)))


@pytest.fixture(scope="module")
def shard(rows, tmp_path_factory):
    path = tmp_path_factory.mktemp("shard") / "pong-expert-00000.parquet"
    return write_shard(path, iter(rows), ShardHeader.of("pong", seed=3))


@pytest.mark.parametrize("game", sorted(ANSWER_SCHEMAS))
def test_every_decision_comes_back_from_its_file(game, tmp_path):
    rows = list(collect(game, 60, seed=1))
    path = tmp_path / "some.parquet"
    write_shard(path, iter(rows), ShardHeader.of(game, seed=1))
    again = list(open_shard(path))
    assert len(again) == len(open_shard(path)) == 60
    assert [path.name for path in tmp_path.iterdir()] == ["some.parquet"]
    for row, read in zip(rows, again, strict=True):
        assert np.array_equal(row.screen.pixels, read.screen.pixels)
        assert np.array_equal(row.plans, read.plans)
        assert row.screen.standard == read.screen.standard
        plain = {"screen": None, "plans": None, "weight": 0.0}
        assert replace(row, **plain).__repr__() == replace(read, **plain).__repr__()
        assert read.weight == pytest.approx(row.weight)


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


def test_the_file_describes_itself_to_parquet_tools(shard, rows):
    table = parquet.read_table(shard.path)
    assert table.column_names == list(rows[0].__slots__)
    png = table["screen"][7].as_py()["bytes"]
    shown = np.asarray(Image.open(io.BytesIO(png)).convert("RGB"))
    assert np.array_equal(shown, rgb(rows[7].screen))
    notes = table.schema.metadata
    assert json.loads(notes[b"huggingface"])["info"]["features"]["screen"] == {"_type": "Image"}
    header = json.loads(notes[b"atari_vlm"])
    assert (header["game"], header["sticky"], header["frame_skip"]) == ("pong", 0.25, 4)
    assert (header["width"], header["height"], header["standard"]) == (160, 210, "ntsc")
    assert (header["teacher"], header["reads"]) == ("expert", ["ram"])
    assert len(header["plans"]) == len(plans(get_answer_schema("pong")))
    assert header["episode_seeds"] == [0, FIRST_EVALUATION_SEED]
    assert shard.path.stat().st_size < 300 * len(rows)


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


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"format": 2}, "is of format 2; this atari-vlm reads format 1"),
        ({"width": 84}, "cannot teach pong: its width is 84, not 160"),
        ({"plans": tuple("abcdefghi")}, "cannot teach pong: its plans is"),
        ({"answers": ("ball {x:x}: {plan:plan}",)}, "labels that pong is not taught with: 'ball"),
        ({"frame_skip": 2}, "its frame_skip is 2, not 4"),
    ],
)
def test_data_of_another_kind_is_refused(dataset, tmp_path, change, named):
    path = tmp_path / "pong-expert-00000.parquet"
    path.write_bytes((dataset / path.name).read_bytes())
    shard = open_shard(path)
    rows = list(shard)
    write_shard(path, iter(rows), replace(shard.header, **change))
    if "width" in change:
        with pytest.raises(StoreError, match=r"00000.parquet is damaged .*a screen is P"):
            list(open_shard(path))
    with pytest.raises(AtariVLMError, match=f"pong-expert-00000.parquet.*{named}"):
        open_dataset(tmp_path, ("pong",))


def test_data_without_the_game_is_refused(dataset, tmp_path):
    with pytest.raises(InvalidSetting, match="nothing to learn breakout from; it holds pong"):
        open_dataset(dataset, ("pong", "breakout"))
    with pytest.raises(InvalidSetting, match="it holds no decisions at all"):
        open_dataset(tmp_path / "nowhere", ("pong",))


def test_held_out_decisions_are_never_trained_on(tmp_path):
    rows = collect("pong", 20, seed=HELD_OUT_SEED)
    write_shard(tmp_path / "a.parquet", rows, ShardHeader.of("pong", seed=HELD_OUT_SEED))
    with pytest.raises(InvalidSetting, match="nothing to learn pong from"):
        open_dataset(tmp_path, ("pong",))
    with pytest.raises(InvalidSetting, match="never learned"):
        DistillSettings(seed=HELD_OUT_SEED)


def test_damage_is_found_in_every_part_of_a_file(dataset, tmp_path):
    whole = (dataset / "pong-expert-00000.parquet").read_bytes()
    path = tmp_path / "pong-expert-00000.parquet"
    footer = 8 + int.from_bytes(whole[-8:-4], "little")
    cases = [whole[:1_000], b"", b"PAR1" + whole[4:-8] + bytes(8)]
    for place in range(10, len(whole) - footer, (len(whole) - footer) // 25):
        cases.append(whole[:place] + bytes([whole[place] ^ 0x55]) + whole[place + 1 :])
    for damaged in cases:
        path.write_bytes(damaged)
        with pytest.raises(StoreError, match=r"pong-expert-00000.parquet is (damaged|parquet)"):
            list(open_dataset(tmp_path, ("pong",))[0])
    path.unlink()
    parquet.write_table(parquet.read_table(dataset / path.name).select(["words"]), path)
    assert open_shard(path).header.game == "pong"
    with pytest.raises(StoreError, match="is damaged"):
        list(open_shard(path))


def test_other_parquet_files_are_refused(tmp_path):
    import pyarrow

    parquet.write_table(pyarrow.table({"a": [1]}), tmp_path / "other.parquet")
    with pytest.raises(StoreError, match="holds no decisions that atari-vlm collected"):
        open_dataset(tmp_path, ("pong",))


@pytest.mark.training
def test_training_images_from_the_file_equal_those_from_the_game(shard, rows):
    torch = pytest.importorskip("torch")
    from atari_vlm.atari.images import motion
    from atari_vlm.learning.distill.architecture import build_tokenizer
    from atari_vlm.learning.distill.data import Dataset

    tokenizer = build_tokenizer(("pong",))
    streamed, stored = Dataset("pong", tokenizer), Dataset("pong", tokenizer)
    streamed.add(rows)
    stored.add(shard)
    every = np.arange(len(rows))
    one, other = streamed.batch(every), stored.batch(every)
    assert torch.equal(one.pixels, other.pixels)
    assert torch.equal(one.plans, other.plans)
    assert one.words == other.words
    for i in (5, 50, 200):
        before = rows[i] if rows[i].first else rows[i - 1]
        seen = torch.from_numpy(motion(before.screen, rows[i].screen)).permute(2, 0, 1)
        assert torch.allclose(one.pixels[i], seen / 127.5 - 1)
    rngs = (np.random.default_rng(0), np.random.default_rng(0))
    assert streamed.sample(32, rngs[0]).words == stored.sample(32, rngs[1]).words


@pytest.mark.training
def test_labels_outside_the_grammar_are_refused_with_the_name_of_their_file(rows, tmp_path):
    pytest.importorskip("torch")
    from atari_vlm.learning.distill.architecture import build_tokenizer
    from atari_vlm.learning.distill.data import Dataset

    odd = [replace(row, words="a ball somewhere: NOOP for 4 frames") for row in rows[:5]]
    shard = write_shard(tmp_path / "odd.parquet", iter(odd), ShardHeader.of("pong", seed=3))
    with pytest.raises(InvalidSetting, match=r"odd.parquet holds an answer .*a ball somewhere"):
        Dataset("pong", build_tokenizer(("pong",))).add(shard)


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
