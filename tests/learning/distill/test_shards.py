"""Shards: whole files that describe themselves and are checked before training."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("pyarrow")

from PIL import Image
from pyarrow import parquet

from atari_vlm.atari.images import rgb
from atari_vlm.errors import AtariVLMError, InvalidSetting, StoreError
from atari_vlm.learning.distill.answer_schemas.base import plans
from atari_vlm.learning.distill.answer_schemas.table import ANSWER_SCHEMAS, get_answer_schema
from atari_vlm.learning.distill.collect import (
    FIRST_EVALUATION_SEED,
    HELD_OUT_SEED,
    collect,
)
from atari_vlm.learning.distill.settings import DistillSettings
from atari_vlm.learning.distill.shard_header import ShardHeader
from atari_vlm.learning.distill.shards import open_dataset, open_shard, write_shard


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
        with pytest.raises(StoreError, match=r"00000.parquet is damaged .*row 0: its screen has"):
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
    with pytest.raises(StoreError, match=r"is damaged .*its columns are not those of a shard"):
        open_shard(path)


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
    with pytest.raises(InvalidSetting, match=r"odd.parquet, row 0, holds .*a ball somewhere"):
        Dataset("pong", build_tokenizer(("pong",))).add(shard)
