"""Shards with damages drawn by chance: they are learned from, or refused in a sentence."""

from __future__ import annotations

import json
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("pyarrow")

import pyarrow
from pyarrow import parquet

from atari_vlm.learning.distill.shards import open_dataset, open_shard
from tests.fuzzing import fuzzed
from tests.mutations import bounded, mutated_bytes, mutated_value

SEEDS = st.integers(0, 2**32)
NAME = "pong-expert-00000.parquet"


def mutate_shard(whole, path, random):
    """Write a shard with other bytes, another header or other cells."""
    kind = random.randrange(3)
    if kind == 0:
        path.write_bytes(mutated_bytes(whole.read_bytes(), random))
        return
    table = parquet.read_table(whole)
    if kind == 1:
        header = mutated_value(json.loads(table.schema.metadata[b"atari_vlm"]), random)
        notes = {**table.schema.metadata, b"atari_vlm": json.dumps(header).encode()}
        table = table.replace_schema_metadata(notes)
    else:
        name = random.choice(table.column_names)
        cells = table[name].to_pylist()
        row = random.randrange(len(cells))
        if name == "screen":
            cells[row]["bytes"] = mutated_bytes(cells[row]["bytes"], random)
        elif name == "plans":
            odd = [float("nan"), float("inf"), -1.0, 0.0, 3.0, 1e-30, None]
            cells[row] = [random.choice([cell, random.choice(odd)]) for cell in cells[row]]
        else:
            cells[row] = random.choice([None, *cells, 0, 1, -1, 77, "", "x"])
        try:
            column = pyarrow.array(cells, table.schema.field(name).type)
        except pyarrow.ArrowInvalid:
            column = pyarrow.array([str(cell) for cell in cells])
        except (TypeError, OverflowError):
            column = pyarrow.nulls(len(cells), table.schema.field(name).type)
        table = table.set_column(table.column_names.index(name), name, column)
    parquet.write_table(table, path, compression=random.choice(["zstd", "snappy", "none"]))


@pytest.fixture(scope="module")
def tokenizer():
    pytest.importorskip("torch")
    from atari_vlm.learning.distill.architecture import build_tokenizer

    return build_tokenizer(("pong",))


@pytest.mark.training
@fuzzed(60)
@given(SEEDS)
def test_a_mutated_shard_teaches_or_is_refused(dataset, tmp_path, tokenizer, seed):
    from atari_vlm.learning.distill.data import Dataset

    mutate_shard(dataset / NAME, tmp_path / NAME, Random(seed))
    data = Dataset("pong", tokenizer)
    with bounded(tmp_path):
        for shard in open_dataset(tmp_path, ("pong",)):
            data.add(shard)
        if data.teaches:
            batch = data.sample(16, np.random.default_rng(0))
            assert bool(batch.plans.isfinite().all())
            assert batch.plans.sum(-1).tolist() == pytest.approx([1.0] * 16, abs=2e-3)
        open_shard(tmp_path / NAME).table(("words", "player", "scattered"))
