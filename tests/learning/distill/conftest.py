"""A small data set, some rows, and a shard of these rows."""

from __future__ import annotations

import pytest

from atari_vlm.learning.distill.collect import Disturbance, collect
from atari_vlm.learning.distill.shard_header import ShardHeader
from atari_vlm.learning.distill.shards import write_shard
from tests.learning.distill.collecting import gather


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
